// The VAE's convolutions in the engine's graphs.
#include <algorithm>

#include "kernels/convolution_steps.h"
#include "kernels/graph.h"
#include "kernels/levels.h"
#include "kernels/pieces.h"
#include "overrides/gpu_rules.h"
#include "overrides/overrides.h"
#undef ggml_conv_2d

namespace sdpy {

namespace {

// All packed weights go by for each band of rows.
constexpr int64_t fewest_rows = 8;

// Of a node that is a convolution.
Convolution convolution_of(const ggml_tensor *node) {
    const ggml_tensor *padded = node->src[0];
    return {node->ne[0], node->ne[1], padded->ne[1], node->ne[2], padded->ne[2] - node->ne[1] + 1};
}

// Result (width, height, out channels, batch) of a padded picture and packed weights.
void convolve(ggml_tensor *result, int, int threads, void *kernels) {
    const ggml_tensor *padded = result->src[0];
    const Convolution shape = convolution_of(result);
    const int64_t most = std::max<int64_t>(threads, shape.height / fewest_rows);
    const int64_t bands = std::min(Pieces::wanted(threads, most), shape.height);
    const Pieces pieces(result, threads, bands * result->ne[3]);
    for (int64_t piece = pieces.next(); piece >= 0; piece = pieces.next()) {
        const int64_t n = piece / bands, band = piece % bands;
        kernels_of<ConvolutionKernels>(kernels).convolve(
            shape, picture_of(padded, n), static_cast<const float *>(result->src[1]->data), picture_of(result, n),
            share(shape.height, band, bands), share(shape.height, band + 1, bands));
    }
}

bool fits(const ggml_tensor *w, const ggml_tensor *x) {
    return (w->ne[0] == 3 || w->ne[0] == 1) && w->ne[1] == w->ne[0] && w->ne[2] == x->ne[2] && ggml_is_contiguous(w) &&
           (w->type == GGML_TYPE_F16 || w->type == GGML_TYPE_F32) && x->type == GGML_TYPE_F32 &&
           x->nb[0] == sizeof(float);
}

// Of a GPU, which takes any edge and stride.
bool fits_directly(const ggml_tensor *w, const ggml_tensor *x) {
    return (w->type == GGML_TYPE_F16 || w->type == GGML_TYPE_F32) && x->type == GGML_TYPE_F32 &&
           ggml_is_contiguous(w) && ggml_is_contiguous(x);
}

}  // namespace

bool is_convolution(const ggml_tensor *node) { return runs(node, convolve); }

double convolution_cost(const ggml_tensor *node) {
    const Convolution shape = convolution_of(node);
    return 2.0 * static_cast<double>(ggml_nelements(node) * shape.channels * shape.edge * shape.edge);
}

}  // namespace sdpy

ggml_tensor *sdpy_conv_2d(ggml_context *context, ggml_tensor *w, ggml_tensor *x, int s0, int s1, int p0, int p1, int d0,
                          int d1) {
    using namespace sdpy;
    const bool plain = s0 == 1 && s1 == 1 && p0 == w->ne[0] / 2 && p1 == p0 && d0 == 1 && d1 == 1;
    const Level *level = Kernels::in_use();
    if (GpuRules::now().direct_convolutions && fits_directly(w, x)) {
        return ggml_conv_2d_direct(context, w, x, s0, s1, p0, p1, d0, d1);
    }
    if (level == nullptr || !plain || !fits(w, x)) {
        return ggml_conv_2d(context, w, x, s0, s1, p0, p1, d0, d1);
    }
    const ConvolutionKernels &kernels = *level->convolution;
    const Convolution shape = shape_of(x, w);
    if (pays_by_winograd(shape)) {
        return winograd_node(context, *level->winograd, Kernels::threads(), w, x);
    }
    ggml_tensor *padded = kernel_node(context, pad_pictures<ConvolutionKernels>, &kernels, GGML_TYPE_F32, {x, w},
                                      padded_width(shape), shape.channels, padded_height(shape), x->ne[3]);
    ggml_tensor *packed = kernel_node(context, pack_weights<ConvolutionKernels>, &kernels, GGML_TYPE_F32, {w},
                                      packed_size(shape, kernels), 1, 1, 1);
    return kernel_node(context, convolve, &kernels, GGML_TYPE_F32, {padded, packed}, shape.width, shape.height,
                       shape.out_channels, x->ne[3]);
}
