# ggml as shared libraries of our own names with one loadable module per backend.

include(cpu_kinds)
include(vulkan)

function(sdcpp_add_ggml engine)
    sdcpp_decide_vulkan(vulkan cure)
    set(SDCPP_WITH_VULKAN ${vulkan} PARENT_SCOPE)
    set(SDCPP_VULKAN_CURE "${cure}" PARENT_SCOPE)

    set(BUILD_SHARED_LIBS ON)
    set(GGML_BACKEND_DL ON)
    set(GGML_NATIVE OFF)      # a wheel is not for the machine that built it
    set(GGML_LLAMAFILE ON)    # its tiled matrix products are worth 1.7x in the VAE
    set(GGML_OPENMP OFF)      # its own threads, whose waits are ours (overrides/ggml_cpu.c)
    set(GGML_CPU_REPACK OFF)  # other layouts for weights, which the engine asks for nowhere
    set(GGML_VULKAN ${vulkan})
    set(GGML_CCACHE ON)
    set(GGML_ALL_WARNINGS OFF)
    set(GGML_BUILD_TESTS OFF)
    set(GGML_BUILD_EXAMPLES OFF)
    set(GGML_CPU ON)
    set(GGML_CPU_ALL_VARIANTS OFF)
    sdcpp_decide_cpu_kinds(only SDCPP_OTHER_CPU_KINDS)
    # The module without a suffix is the fallback for any x86-64 CPU, unless one kind is built in its place.
    foreach(feature SSE42 AVX AVX2 AVX_VNNI BMI2 FMA F16C AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16
                    AMX_TILE AMX_INT8 AMX_BF16)
        set(GGML_${feature} OFF)
    endforeach()
    foreach(feature IN LISTS SDCPP_CPU_KIND_${only})
        set(GGML_${feature} ON)
    endforeach()

    list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/hooks")
    # EXCLUDE_FROM_ALL keeps ggml's own install rules out of the wheel.
    add_subdirectory("${engine}/ggml" "${CMAKE_BINARY_DIR}/ggml" EXCLUDE_FROM_ALL)

    set(main "${engine}/ggml/src/ggml.c")
    file(STRINGS "${main}" allocations REGEX "= posix_memalign\\(")
    if(NOT allocations)
        message(FATAL_ERROR "${main} allocates by another function than native/overrides/large_pages.h re-points")
    endif()
    set_property(SOURCE "${main}" TARGET_DIRECTORY ggml-base APPEND PROPERTY COMPILE_OPTIONS
                 -include "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../overrides/large_pages.h")

    # Another package in the same process may bring its own ggml. The dynamic linker takes two libraries of one
    # name for the same one, so ours must not be called what theirs is called; and a wheel cannot hold the symbolic
    # links that versioned names need.
    foreach(library ggml ggml-base)
        set_target_properties(${library} PROPERTIES OUTPUT_NAME "sdcpp-${library}")
        set_property(TARGET ${library} PROPERTY VERSION)
        set_property(TARGET ${library} PROPERTY SOVERSION)
    endforeach()

    set(modules ggml-cpu)
    if(only)
        # Under a kind's name the loader asks the module whether it suits the CPU, and finds none on another one.
        set_target_properties(ggml-cpu PROPERTIES OUTPUT_NAME ggml-cpu-${only})
    endif()
    foreach(kind IN LISTS SDCPP_OTHER_CPU_KINDS)
        list(APPEND modules ggml-cpu-${kind})
    endforeach()
    foreach(module IN LISTS modules)
        get_target_property(sources ${module} SOURCES)
        set(own_sources ${sources})
        list(TRANSFORM own_sources REPLACE "^.*ggml-cpu/ggml-cpu\\.c$"
             "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../overrides/ggml_cpu.c")
        if(own_sources STREQUAL sources)
            message(FATAL_ERROR
                    "${module} has no ggml-cpu/ggml-cpu.c, for which native/overrides/ggml_cpu.c is to stand")
        endif()
        list(FILTER own_sources EXCLUDE REGEX "/repack\\.cpp$")
        set_property(TARGET ${module} PROPERTY SOURCES ${own_sources})
    endforeach()
    if(vulkan)
        list(APPEND modules ggml-vulkan)
    endif()
    foreach(module IN LISTS modules)
        set_property(TARGET ${module} PROPERTY VERSION)
        set_property(TARGET ${module} PROPERTY SOVERSION)
    endforeach()
    foreach(target ggml ggml-base ${modules})
        set_target_properties(${target} PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN")
    endforeach()
    set(SDCPP_GGML_MODULES ${modules} PARENT_SCOPE)
endfunction()
