# The CPU modules of one installation. The loader scores each against the running CPU and takes the best.

set(SDCPP_CPU_KINDS "haswell;skylakex;icelake;zen4" CACHE STRING
    "CPU modules to build besides plain x64 (of: sandybridge haswell alderlake skylakex icelake zen4)")

set(_avx2 SSE42 AVX F16C FMA AVX2 BMI2)
set(_avx512 ${_avx2} AVX512)
set(SDCPP_CPU_KIND_sandybridge SSE42 AVX)
set(SDCPP_CPU_KIND_haswell ${_avx2})
set(SDCPP_CPU_KIND_alderlake ${_avx2} AVX_VNNI)
set(SDCPP_CPU_KIND_skylakex ${_avx512})
set(SDCPP_CPU_KIND_icelake ${_avx512} AVX512_VBMI AVX512_VNNI)
set(SDCPP_CPU_KIND_zen4 ${_avx512} AVX512_VBMI AVX512_VNNI AVX512_BF16)

# Called at the end of ggml/src (see hooks/CheckCXXCompilerFlag.cmake).
function(sdcpp_add_cpu_kinds)
    if(NOT GGML_SYSTEM_ARCH STREQUAL "x86")
        return()
    endif()
    foreach(kind IN LISTS SDCPP_CPU_KINDS)
        if(NOT SDCPP_CPU_KIND_${kind})
            message(FATAL_ERROR "SDCPP_CPU_KINDS: no CPU kind is called '${kind}'")
        endif()
        ggml_add_cpu_backend_variant(${kind} ${SDCPP_CPU_KIND_${kind}})
    endforeach()
endfunction()
