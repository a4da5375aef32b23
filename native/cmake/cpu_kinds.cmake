# The CPU modules of one installation. The loader scores each against the running CPU and takes the best.

set(SDCPP_CPU_KINDS "haswell;skylakex;icelake;zen4" CACHE STRING
    "CPU modules to build besides plain x64 (of: sandybridge haswell alderlake skylakex icelake zen4), or native")

# From the one that the fewest CPUs have to the one that most have.
set(_sdcpp_all_cpu_kinds zen4 icelake skylakex alderlake haswell sandybridge)

set(_avx2 SSE42 AVX F16C FMA AVX2 BMI2)
set(_avx512 ${_avx2} AVX512)
set(SDCPP_CPU_KIND_sandybridge SSE42 AVX)
set(SDCPP_CPU_KIND_haswell ${_avx2})
set(SDCPP_CPU_KIND_alderlake ${_avx2} AVX_VNNI)
set(SDCPP_CPU_KIND_skylakex ${_avx512})
set(SDCPP_CPU_KIND_icelake ${_avx512} AVX512_VBMI AVX512_VNNI)
set(SDCPP_CPU_KIND_zen4 ${_avx512} AVX512_VBMI AVX512_VNNI AVX512_BF16)

# What a compiler defines when it compiles for a CPU that has the feature.
set(_sdcpp_macros_of_SSE42 __SSE4_2__)
set(_sdcpp_macros_of_AVX512 __AVX512F__ __AVX512CD__ __AVX512VL__ __AVX512DQ__ __AVX512BW__)
foreach(_feature AVX F16C FMA AVX2 BMI2)
    set(_sdcpp_macros_of_${_feature} __${_feature}__)
endforeach()
foreach(_feature AVX_VNNI AVX512_VBMI AVX512_VNNI AVX512_BF16)
    string(REPLACE "_" "" _macro "${_feature}")
    set(_sdcpp_macros_of_${_feature} __${_macro}__)
endforeach()

# Sets <macros> to what the compiler defines for this machine's CPU. The compiler is asked and not /proc/cpuinfo, because it
# also knows what the system lets programs use and what it can itself compile.
function(_sdcpp_native_macros macros)
    if(CMAKE_CROSSCOMPILING)
        message(FATAL_ERROR "SDCPP_CPU_KINDS=native: this build is for another machine than the one it runs on; name the kinds")
    endif()
    execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -march=native -dM -E -x c++ /dev/null
                    RESULT_VARIABLE failed OUTPUT_VARIABLE found ERROR_VARIABLE reason)
    if(failed)
        message(FATAL_ERROR "SDCPP_CPU_KINDS=native: the compiler does not say what this CPU is; name the kinds\n${reason}")
    endif()
    set(${macros} "${found}" PARENT_SCOPE)
endfunction()

# Sets <suits> to whether a CPU for which the compiler defines <macros> has all <features>.
function(_sdcpp_has suits macros)
    set(${suits} TRUE PARENT_SCOPE)
    foreach(feature IN LISTS ARGN)
        foreach(macro IN LISTS _sdcpp_macros_of_${feature})
            if(NOT macros MATCHES "#define ${macro} ")
                set(${suits} FALSE PARENT_SCOPE)
            endif()
        endforeach()
    endforeach()
endfunction()

# Sets <kind> to the best kind of which this machine's CPU has everything, or to the empty string: plain x64.
function(_sdcpp_native_cpu_kind kind)
    _sdcpp_native_macros(macros)
    foreach(candidate IN LISTS _sdcpp_all_cpu_kinds)
        _sdcpp_has(suits "${macros}" ${SDCPP_CPU_KIND_${candidate}})
        if(suits)
            set(${kind} ${candidate} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    set(${kind} "" PARENT_SCOPE)
endfunction()

# Sets <levels> to the instruction sets that kernels of our own are compiled for: all, or for this machine alone its own.
function(sdcpp_decide_kernel_levels levels)
    set(found avx2 avx_vnni avx512 avx512_vnni)
    if(SDCPP_CPU_KINDS STREQUAL "native")
        set(features_avx2 ${_avx2})
        set(features_avx_vnni ${_avx2} AVX_VNNI)
        set(features_avx512 ${_avx512})
        set(features_avx512_vnni ${_avx512} AVX512_VNNI)
        _sdcpp_native_macros(macros)
        foreach(level IN LISTS found)
            _sdcpp_has(suits "${macros}" ${features_${level}})
            if(NOT suits)
                list(REMOVE_ITEM found ${level})
            endif()
        endforeach()
    endif()
    set(${levels} "${found}" PARENT_SCOPE)
endfunction()

# Sets <only> to the kind that is built alone, in the place of plain x64, and <others> to those built besides plain x64.
function(sdcpp_decide_cpu_kinds only others)
    set(${only} "" PARENT_SCOPE)
    set(${others} "" PARENT_SCOPE)
    if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
        return()
    endif()
    if(SDCPP_CPU_KINDS STREQUAL "native")
        _sdcpp_native_cpu_kind(kind)
        set(name "${kind}")
        if(NOT kind)
            set(name "x64")
        endif()
        message(STATUS "CPU modules: ${name}, for this machine alone (SDCPP_CPU_KINDS=native)")
        set(${only} "${kind}" PARENT_SCOPE)
        return()
    endif()
    foreach(kind IN LISTS SDCPP_CPU_KINDS)
        if(NOT kind IN_LIST _sdcpp_all_cpu_kinds)
            message(FATAL_ERROR "SDCPP_CPU_KINDS: no CPU kind is called '${kind}'; there are ${_sdcpp_all_cpu_kinds}, "
                                "and native alone")
        endif()
    endforeach()
    message(STATUS "CPU modules: x64 ${SDCPP_CPU_KINDS}")
    set(${others} "${SDCPP_CPU_KINDS}" PARENT_SCOPE)
endfunction()

# Called at the end of ggml/src (see hooks/CheckCXXCompilerFlag.cmake).
function(sdcpp_add_cpu_kinds)
    foreach(kind IN LISTS SDCPP_OTHER_CPU_KINDS)
        ggml_add_cpu_backend_variant(${kind} ${SDCPP_CPU_KIND_${kind}})
    endforeach()
endfunction()
