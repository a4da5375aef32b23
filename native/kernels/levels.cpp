#include "kernels/levels.h"

#include <cstdlib>
#include <cstring>

#include "kernels/convolution.h"
#include "kernels/product.h"
#include "kernels/winograd.h"

namespace sdpy {

namespace {

bool runs_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool runs_avx_vnni() { return runs_avx2() && __builtin_cpu_supports("avxvnni"); }
bool runs_avx512() {
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
bool runs_avx512_vnni() { return runs_avx512() && __builtin_cpu_supports("avx512vnni"); }

const Level levels[] = {
    {"avx512_vnni", runs_avx512_vnni, &convolution_avx512, &winograd_avx512, &product_avx512_vnni},
    {"avx512", runs_avx512, &convolution_avx512, &winograd_avx512, &product_avx512},
    {"avx_vnni", runs_avx_vnni, &convolution_avx2, &winograd_avx2, &product_avx_vnni},
    {"avx2", runs_avx2, &convolution_avx2, &winograd_avx2, &product_avx2},
};

const char *wish() {
    const char *set = std::getenv("SDCPP_PY_KERNELS");
    return set != nullptr ? set : "";
}

}  // namespace

const Level *level_named(const char *name) {
    for (const Level &level : levels) {
        if (std::strcmp(level.name, name) == 0 && level.runs()) {
            return &level;
        }
    }
    return nullptr;
}

bool switched_off() { return std::strcmp(wish(), "off") == 0; }

const Level *level_to_use() {
    if (*wish() != '\0') {
        return level_named(wish());  // null for "off"
    }
    for (const Level &level : levels) {
        if (level.runs()) {
            return &level;
        }
    }
    return nullptr;
}

}  // namespace sdpy
