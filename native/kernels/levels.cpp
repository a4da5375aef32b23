#include "kernels/levels.h"

#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "base/errors.h"
#include "kernels/attention.h"
#include "kernels/convolution.h"
#include "kernels/product.h"
#include "kernels/winograd.h"

namespace sdpy {

namespace {

[[maybe_unused]] bool runs_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
[[maybe_unused]] bool runs_avx_vnni() { return runs_avx2() && __builtin_cpu_supports("avxvnni"); }
[[maybe_unused]] bool runs_avx512() {
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
[[maybe_unused]] bool runs_avx512_vnni() { return runs_avx512() && __builtin_cpu_supports("avx512vnni"); }

// The fastest first. A build for one machine has those of this machine alone.
const std::vector<Level> levels = {
#ifdef SDPY_HAS_AVX512_VNNI
    {"avx512_vnni", runs_avx512_vnni, &convolution_avx512, &winograd_avx512, &product_avx512_vnni, &attention_avx512},
#endif
#ifdef SDPY_HAS_AVX512
    {"avx512", runs_avx512, &convolution_avx512, &winograd_avx512, &product_avx512, &attention_avx512},
#endif
#ifdef SDPY_HAS_AVX_VNNI
    {"avx_vnni", runs_avx_vnni, &convolution_avx2, &winograd_avx2, &product_avx_vnni, &attention_avx2},
#endif
#ifdef SDPY_HAS_AVX2
    {"avx2", runs_avx2, &convolution_avx2, &winograd_avx2, &product_avx2, &attention_avx2},
#endif
};

const Level *fastest() {
    for (const Level &level : levels) {
        if (level.runs()) {
            return &level;
        }
    }
    return nullptr;
}

bool never() { return false; }
const Level off = {"off", never, nullptr, nullptr, nullptr, nullptr};

// Read on the engines' threads, for every graph that is built.
std::atomic<const Level *> chosen{fastest()};

std::string names_of_those_that_run() {
    std::string names;
    for (const Level &level : levels) {
        names += level.runs() ? std::string(level.name) + ", " : "";
    }
    return names;
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

void choose_kernels(const char *name) {
    const bool none = std::strcmp(name, off.name) == 0;
    const Level *wanted = none ? &off : *name == '\0' ? fastest() : level_named(name);
    if (wanted == nullptr && *name != '\0') {
        throw NoBackend("SDCPP_PY_KERNELS is '" + std::string(name) +
                        "', and this CPU runs no kernels of that name; take " + names_of_those_that_run() +
                        "or off for the engine's own, or leave it unset for the fastest");
    }
    chosen = wanted;
}

bool switched_off() { return chosen == &off; }

const Level *level_to_use() { return switched_off() ? nullptr : chosen.load(); }

const char *kernels_in_use() {
    const Level *level = chosen;
    return level != nullptr ? level->name : "";
}

}  // namespace sdpy
