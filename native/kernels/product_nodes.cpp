// Products with weights, and of two matrices that are computed, in the engine's graphs.
#include <algorithm>

#include "ggml-backend.h"
#include "kernels/graph.h"
#include "kernels/levels.h"
#include "kernels/nodes.h"
#include "kernels/pieces.h"
#include "kernels/product_nodes.h"
#include "overrides/overrides.h"
#undef ggml_mul_mat
#undef ggml_mul_mat_set_prec

namespace sdpy {

namespace {

// With fewer tokens, unpacking a panel is most of the work, and ggml is quicker (benchmarks/kernels.py --tokens 8).
constexpr int64_t fewest_tokens = 8;
// A panel should be worth unpacking for a piece of the tokens.
constexpr int64_t fewest_tokens_in_piece = 128;

const ProductKernels &kernels_of(void *user_data) { return *static_cast<const ProductKernels *>(user_data); }

Product product_of(const ggml_tensor *w, int64_t tokens) {
    return {w->ne[0], w->ne[1], tokens, *weight_type(w->type), w->data, static_cast<int64_t>(w->nb[1]), w->ne[0]};
}

// Result: bytes, as many as rounding activations (inputs, tokens, ...) takes for the weights that are the second source.
void round(ggml_tensor *result, int thread, int threads, void *kernels) {
    const ggml_tensor *x = result->src[0];
    const int64_t tokens = ggml_nrows(x);
    kernels_of(kernels).round(product_of(result->src[1], tokens), static_cast<const char *>(x->data), x->nb[1],
                              result->data, share(tokens, thread, threads), share(tokens, thread + 1, threads));
}

// What a node's threads share: some products of one shape, each cut into blocks of outputs and parts of the tokens.
struct Shares {
    int64_t blocks, parts, products;

    Shares(const Product &product, int64_t count, const ProductKernels &kernels, int threads)
        : blocks(block_count(product, kernels)), products(count) {
        const int64_t wanted = Pieces::wanted(threads, INT32_MAX), all = blocks * products;
        parts = std::min((wanted + all - 1) / all, std::max<int64_t>(1, product.tokens / fewest_tokens_in_piece));
    }

    int64_t count() const { return blocks * parts * products; }
    int64_t product_of(int64_t piece) const { return piece / parts / blocks; }

    void compute(const Product &product, const ProductKernels &kernels, const void *activations, float *out,
                 int64_t piece) const {
        const int64_t block = piece / parts % blocks, part = piece % parts;
        kernels.multiply(product, activations, out, block, block + 1, share(product.tokens, part, parts),
                         share(product.tokens, part + 1, parts));
    }
};

// Result (outputs, tokens, ...) of activations, rounded ones for quantized weights, and weights; and, where there are two
// more sources, of what a LoRA adds to it.
void multiply(ggml_tensor *result, int, int threads, void *kernels) {
    Product product = product_of(result->src[1], ggml_nrows(result));
    if (const ggml_tensor *inner = result->src[2]) {
        product.rank = inner->ne[0];
        product.inner = static_cast<const float *>(inner->data);
        product.up = static_cast<const float *>(result->src[3]->data);
    }
    const Shares shares(product, 1, kernels_of(kernels), threads);
    const Pieces pieces(result, threads, shares.count());
    for (int64_t piece = pieces.next(); piece >= 0; piece = pieces.next()) {
        shares.compute(product, kernels_of(kernels), result->src[0]->data, static_cast<float *>(result->data), piece);
    }
}

// The matrix of a tensor of several that goes with the matrix of that number of another tensor, which may have a multiple of
// them on each axis.
char *matrix_for(const ggml_tensor *tensor, const ggml_tensor *other, int64_t number) {
    const int64_t i2 = number % other->ne[2] / (other->ne[2] / tensor->ne[2]);
    const int64_t i3 = number / other->ne[2] / (other->ne[3] / tensor->ne[3]);
    return static_cast<char *>(tensor->data) + i2 * tensor->nb[2] + i3 * tensor->nb[3];
}

// Result (outputs, tokens, ...) of two tensors that are computed: activations, and matrices in the place of weights.
void multiply_matrices(ggml_tensor *result, int, int threads, void *kernels) {
    const ggml_tensor *x = result->src[0], *w = result->src[1];
    Product product = product_of(w, x->ne[1]);
    product.token_stride = static_cast<int64_t>(x->nb[1] / sizeof(float));
    const Shares shares(product, x->ne[2] * x->ne[3], kernels_of(kernels), threads);
    const Pieces pieces(result, threads, shares.count());
    for (int64_t piece = pieces.next(); piece >= 0; piece = pieces.next()) {
        const int64_t number = shares.product_of(piece);
        product.weights = matrix_for(w, x, number);
        shares.compute(product, kernels_of(kernels), matrix_for(x, x, number),
                       reinterpret_cast<float *>(matrix_for(result, x, number)), piece);
    }
}

bool fits(const ggml_tensor *w, const ggml_tensor *x) {
    return w->op == GGML_OP_NONE && w->view_src == nullptr && w->buffer != nullptr &&
           ggml_backend_buffer_is_host(w->buffer) && weight_type(w->type) && ggml_is_contiguous(w) && w->ne[2] == 1 &&
           w->ne[3] == 1 && x->type == GGML_TYPE_F32 && ggml_is_contiguous(x) && ggml_nrows(x) >= fewest_tokens;
}

bool is_computed(const ggml_tensor *tensor) {
    return tensor->op != GGML_OP_NONE || (tensor->view_src != nullptr && tensor->view_src->op != GGML_OP_NONE);
}

bool are_matrices(const ggml_tensor *w, const ggml_tensor *x) {
    const auto in_rows = [](const ggml_tensor *one) {
        return one->type == GGML_TYPE_F32 && one->nb[0] == sizeof(float) && one->nb[1] % sizeof(float) == 0;
    };
    return is_computed(w) && in_rows(w) && in_rows(x) && w->ne[1] >= fewest_tokens && x->ne[1] >= fewest_tokens;
}

}  // namespace

std::optional<WeightType> weight_type(int ggml_type_number) {
    switch (ggml_type_number) {
        case GGML_TYPE_F32:
            return weight_f32;
        case GGML_TYPE_F16:
            return weight_f16;
        case GGML_TYPE_BF16:
            return weight_bf16;
        case GGML_TYPE_IQ4_NL:
            return weight_iq4_nl;
        case GGML_TYPE_IQ4_XS:
            return weight_iq4_xs;
        case GGML_TYPE_Q2_K:
            return weight_q2_k;
        case GGML_TYPE_Q3_K:
            return weight_q3_k;
        case GGML_TYPE_Q4_0:
            return weight_q4_0;
        case GGML_TYPE_Q4_1:
            return weight_q4_1;
        case GGML_TYPE_Q5_0:
            return weight_q5_0;
        case GGML_TYPE_Q5_1:
            return weight_q5_1;
        case GGML_TYPE_Q8_0:
            return weight_q8_0;
        case GGML_TYPE_Q4_K:
            return weight_q4_k;
        case GGML_TYPE_Q5_K:
            return weight_q5_k;
        case GGML_TYPE_Q6_K:
            return weight_q6_k;
        default:
            return {};
    }
}

bool is_product(const ggml_tensor *node) { return runs(node, multiply) || runs(node, multiply_matrices); }

namespace {

// With what a LoRA adds: `inner` and `up`, or nothing.
ggml_tensor *product_node(const Level &level, ggml_context *context, ggml_tensor *w, ggml_tensor *x,
                          const std::vector<ggml_tensor *> &added = {}) {
    const ProductKernels *kernels = level.product;
    ggml_tensor *activations = x;
    if (is_rounded(*weight_type(w->type))) {
        activations = kernel_node(context, round, kernels, GGML_TYPE_I8, {x, w},
                                  rounded_bytes(product_of(w, ggml_nrows(x))), 1, 1, 1);
    }
    std::vector<ggml_tensor *> sources{activations, w};
    sources.insert(sources.end(), added.begin(), added.end());
    return kernel_node(context, multiply, kernels, GGML_TYPE_F32, sources, w->ne[1], x->ne[1], x->ne[2], x->ne[3]);
}

}  // namespace

ggml_tensor *product_and_low_rank(ggml_context *context, ggml_tensor *w, ggml_tensor *x, ggml_tensor *down,
                                  ggml_tensor *up) {
    const Level *level = Kernels::in_use();
    if (level == nullptr || !fits(w, x) || !fits(down, x) || up->type != GGML_TYPE_F32) {
        return nullptr;
    }
    return product_node(*level, context, w, x, {product_node(*level, context, down, x), up});
}

}  // namespace sdpy

ggml_tensor *sdpy_mul_mat(ggml_context *context, ggml_tensor *w, ggml_tensor *x) {
    using namespace sdpy;
    const Level *level = Kernels::in_use();
    if (level != nullptr && fits(w, x)) {
        return product_node(*level, context, w, x);
    }
    if (level != nullptr && are_matrices(w, x)) {
        return kernel_node(context, multiply_matrices, level->product, GGML_TYPE_F32, {x, w}, w->ne[1], x->ne[1],
                           x->ne[2], x->ne[3]);
    }
    return ggml_mul_mat(context, w, x);
}

// Ours have but one precision.
void sdpy_mul_mat_set_prec(ggml_tensor *node, ggml_prec precision) {
    if (node->op == GGML_OP_MUL_MAT) {
        ggml_mul_mat_set_prec(node, precision);
    }
}
