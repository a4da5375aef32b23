# The engine's own program, unchanged, over the same ggml and the same CPU modules: what the library is compared with.
# It is built into bin/ of the build folder, beside the modules, and never installed.

set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
set(SD_BUILD_EXAMPLES ON)
set(SD_WEBP OFF)
set(SD_WEBM OFF)
add_subdirectory("${SDCPP_ENGINE_DIR}" "${CMAKE_BINARY_DIR}/upstream" EXCLUDE_FROM_ALL)
target_sources(sd-cli PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/native/devices/cpu_symbols.cpp")
target_include_directories(sd-cli PRIVATE "${SDCPP_ENGINE_DIR}/ggml/include")
set_target_properties(sd-cli PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin" BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN")
add_custom_target(sd-cli-wanted ALL DEPENDS sd-cli)
