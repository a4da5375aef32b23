// Functions that a few files of the engine call directly and that live hidden inside a loadable CPU module.
#include "ggml-backend.h"

extern "C" {
ggml_backend_t ggml_backend_cpu_init(void) { return ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr); }

// The engine uses these for its printed system information alone; what this library says about CPU features comes from
// the registry.
#define SDPY_HIDDEN_IN_MODULE(name) \
    int name(void) { return 0; }
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_sse3)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_avx)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_avx2)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_avx512)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_avx512_vbmi)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_avx512_vnni)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_fma)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_f16c)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_neon)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_arm_fma)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_fp16_va)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_wasm_simd)
SDPY_HIDDEN_IN_MODULE(ggml_cpu_has_vsx)
}
