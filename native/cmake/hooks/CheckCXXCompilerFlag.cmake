# ggml's list of CPU modules is all or nothing (thirteen of them), and the function that adds one works only inside
# ggml's own source folder, because its paths are relative. ggml includes this standard CMake module from that very
# folder, so the inclusion is the place where our own list can be scheduled to run there.
include("${CMAKE_ROOT}/Modules/CheckCXXCompilerFlag.cmake")
get_property(_sdcpp_scheduled GLOBAL PROPERTY SDCPP_CPU_KINDS_SCHEDULED)
if(NOT _sdcpp_scheduled AND CMAKE_CURRENT_SOURCE_DIR MATCHES "/ggml/src$")
    set_property(GLOBAL PROPERTY SDCPP_CPU_KINDS_SCHEDULED TRUE)
    cmake_language(DEFER CALL sdcpp_add_cpu_kinds)
endif()
