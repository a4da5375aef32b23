#include "kernels/graph.h"

#include <cstdlib>
#include <cstring>

#include "kernels/convolution.h"
#include "seams.h"
#include "sdpy.h"
#undef ggml_conv_2d

namespace sdpy {

namespace {

thread_local const ConvolutionKernels *in_use = nullptr;

const ConvolutionKernels &kernels_of(void *user_data) { return *static_cast<const ConvolutionKernels *>(user_data); }

int64_t share(int64_t all, int thread, int threads) { return all * thread / threads; }

// Result (padded width, channels, height + 2, batch) of a picture (width, height, channels, batch).
void pad(ggml_tensor *result, int thread, int threads, void *kernels) {
    const ggml_tensor *x = result->src[0];
    const Convolution shape{x->ne[0], x->ne[1], x->ne[2], 0};
    for (int64_t n = 0; n < x->ne[3]; ++n) {
        kernels_of(kernels).pad(shape, static_cast<const char *>(x->data) + n * x->nb[3], x->nb[1], x->nb[2],
                                reinterpret_cast<float *>(static_cast<char *>(result->data) + n * result->nb[3]),
                                share(result->ne[2], thread, threads), share(result->ne[2], thread + 1, threads));
    }
}

// Result (channels * 9 * block, blocks) of weights (3, 3, channels, out channels).
void pack(ggml_tensor *result, int thread, int threads, void *kernels) {
    const ggml_tensor *w = result->src[0];
    kernels_of(kernels).pack({0, 0, w->ne[2], w->ne[3]}, w->data, w->type == GGML_TYPE_F16,
                             static_cast<float *>(result->data), share(result->ne[1], thread, threads),
                             share(result->ne[1], thread + 1, threads));
}

// Result (width, height, out channels, batch) of a padded picture and packed weights.
void convolve(ggml_tensor *result, int thread, int threads, void *kernels) {
    const ggml_tensor *padded = result->src[0];
    const Convolution shape{result->ne[0], result->ne[1], padded->ne[1], result->ne[2]};
    for (int64_t n = 0; n < result->ne[3]; ++n) {
        kernels_of(kernels).convolve(
            shape, reinterpret_cast<const float *>(static_cast<const char *>(padded->data) + n * padded->nb[3]),
            static_cast<const float *>(result->src[1]->data),
            reinterpret_cast<float *>(static_cast<char *>(result->data) + n * result->nb[3]),
            share(shape.height, thread, threads), share(shape.height, thread + 1, threads));
    }
}

ggml_tensor *node(ggml_context *context, ggml_custom_op_t kernel, ggml_tensor *first, ggml_tensor *second, int64_t ne0,
                  int64_t ne1, int64_t ne2, int64_t ne3) {
    ggml_tensor *sources[] = {first, second};
    return ggml_custom_4d(context, GGML_TYPE_F32, ne0, ne1, ne2, ne3, sources, second == nullptr ? 1 : 2, kernel,
                          GGML_N_TASKS_MAX, const_cast<ConvolutionKernels *>(in_use));
}

bool fits(const ggml_tensor *w, const ggml_tensor *x) {
    return w->ne[0] == 3 && w->ne[1] == 3 && w->ne[2] == x->ne[2] && ggml_is_contiguous(w) &&
           (w->type == GGML_TYPE_F16 || w->type == GGML_TYPE_F32) && x->type == GGML_TYPE_F32 &&
           x->nb[0] == sizeof(float);
}

}  // namespace

const ConvolutionKernels *convolution_kernels_of(int level) {
    switch (level) {
        case SDPY_KERNELS_AVX512:
            return __builtin_cpu_supports("avx512f") ? &convolution_avx512 : nullptr;
        case SDPY_KERNELS_AVX2:
            return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
                       ? &convolution_avx2
                       : nullptr;
        default:
            return nullptr;
    }
}

const ConvolutionKernels *convolution_kernels() {
    const char *wish = std::getenv("SDCPP_PY_KERNELS");
    if (wish != nullptr && std::strcmp(wish, "off") == 0) {
        return nullptr;
    }
    const ConvolutionKernels *best = convolution_kernels_of(SDPY_KERNELS_AVX512);
    return best != nullptr ? best : convolution_kernels_of(SDPY_KERNELS_AVX2);
}

double convolution_cost(const ggml_tensor *node) {
    ggml_custom_op_t kernel = nullptr;  // the first of the node's parameters
    std::memcpy(&kernel, node->op_params, sizeof kernel);
    return kernel == convolve ? 2.0 * 9 * static_cast<double>(node->src[0]->ne[1] * ggml_nelements(node)) : 0;
}

Kernels::Kernels(bool on) { in_use = on ? convolution_kernels() : nullptr; }
Kernels::~Kernels() { in_use = nullptr; }
bool Kernels::on() { return in_use != nullptr; }

}  // namespace sdpy

ggml_tensor *sdpy_conv_2d(ggml_context *context, ggml_tensor *w, ggml_tensor *x, int s0, int s1, int p0, int p1, int d0,
                          int d1) {
    using namespace sdpy;
    const bool plain = s0 == 1 && s1 == 1 && p0 == 1 && p1 == 1 && d0 == 1 && d1 == 1;
    if (in_use == nullptr || !plain || !fits(w, x)) {
        return ggml_conv_2d(context, w, x, s0, s1, p0, p1, d0, d1);
    }
    const Convolution shape{x->ne[0], x->ne[1], x->ne[2], w->ne[3]};
    ggml_tensor *padded =
        node(context, pad, x, nullptr, padded_width(shape), shape.channels, shape.height + 2, x->ne[3]);
    ggml_tensor *packed =
        node(context, pack, w, nullptr, packed_size(shape, *in_use), block_count(shape, *in_use), 1, 1);
    return node(context, convolve, padded, packed, shape.width, shape.height, shape.out_channels, x->ne[3]);
}
