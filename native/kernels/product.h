/* Products of weights and float activations, for many tokens at once.
 *
 * ggml multiplies row by row, unpacking the same weights again for every token. Here some rows of weights are unpacked
 * once into a panel that stays in a core's cache, and all tokens go by. The weights themselves stay as they lie in the
 * file. With quantized weights, activations are rounded to eight bits, 32 to a scale, as ggml rounds them to Q8_0; with float
 * weights they stay as they are. (The way to divide the work is that of K. Goto and R. van de Geijn, "Anatomy of
 * high-performance matrix multiplication", 2008.)
 * Like convolution.h's, the source is compiled once for each instruction set and includes nothing that has code.
 */
#ifndef SDPY_KERNELS_PRODUCT_H
#define SDPY_KERNELS_PRODUCT_H

#include <stdint.h>

namespace sdpy {

/* The types of weights; each quantized weight is scale * number - minimum, with a number of few bits. */
enum WeightType {
    weight_f32,
    weight_f16,
    weight_bf16,
    weight_q4_0,
    weight_q4_1,
    weight_q5_0,
    weight_q5_1,
    weight_q8_0,
    weight_iq4_nl,
    weight_iq4_xs,
    weight_q2_k,
    weight_q3_k,
    weight_q4_k,
    weight_q5_k,
    weight_q6_k
};

struct Product {
    int64_t inputs, outputs, tokens; /* inputs: a multiple of the type's block */
    WeightType type;
    const void *weights; /* (outputs, inputs), rows `row_bytes` apart */
    int64_t row_bytes;
    int64_t token_stride; /* numbers from one token's activations to the next one's, where they are not rounded */
    /* What a LoRA adds while a result is in the cache: float32 (tokens, rank), times the transposed (outputs, rank). */
    int64_t rank = 0;
    const float *inner = nullptr, *up = nullptr;
};

static inline bool is_rounded(WeightType type) { return type > weight_bf16; }

/* Rounded activations, for quantized weights, `rounded_bytes` of them:
 *
 *   numbers: int8 (tokens, inputs)
 *   scales:  float32 (tokens, inputs / 32)
 *   sums:    (tokens, inputs / group), of the numbers of each group of 16 or 32 that share a weight's scale: float32 with
 *            the activations' scale where the type has minima, else int32 times minus the number that stands for zero
 */
struct ProductKernels {
    int block, float_block; /* outputs that are computed together, with quantized and with float weights */
    /* Tokens `from` to `to` of activations (tokens, inputs) whose rows are `row_bytes` apart. */
    void (*round)(const Product &product, const char *activations, int64_t row_bytes, void *rounded, int64_t from,
                  int64_t to);
    /* Blocks `from` to `to` of outputs, for tokens `first` to `last`, of the result (tokens, outputs). Activations are
     * rounded ones, or for float weights as they are. */
    void (*multiply)(const Product &product, const void *activations, float *out, int64_t from, int64_t to,
                     int64_t first, int64_t last);
};

static inline int64_t rounded_bytes(const Product &product) {
    return product.tokens * product.inputs / 16 * (16 + 2 + 4); /* sums of groups of 16, at the most */
}

/* Blocks of outputs. */
static inline int64_t block_count(const Product &product, const ProductKernels &kernels) {
    const int block = is_rounded(product.type) ? kernels.block : kernels.float_block;
    return (product.outputs + block - 1) / block;
}

extern const ProductKernels product_avx2, product_avx_vnni, product_avx512, product_avx512_vnni;

}  // namespace sdpy

#endif
