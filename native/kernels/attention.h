/* Attention in one pass over the keys: a few queries meet some keys at a time, and neither the weights of all pairs nor
 * transposed copies of anything are ever in memory. (The way to carry the sums of an exponential on from block to block is
 * that of M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018, https://arxiv.org/abs/1805.02867,
 * which T. Dao and others, "FlashAttention", 2022, https://arxiv.org/abs/2205.14135, made attention of.) float32 throughout.
 * Like convolution.h's, the source is compiled once for each instruction set and includes nothing that has code.
 */
#ifndef SDPY_KERNELS_ATTENTION_H
#define SDPY_KERNELS_ATTENTION_H

#include <stdint.h>

namespace sdpy {

/* One head. Rows of float32, whose distances are in numbers. */
struct Attention {
    int64_t head_size, queries, keys;
    float scale; /* of a product of query and key */
    const float *q, *k, *v;
    int64_t q_stride, k_stride, v_stride;
    const float *mask; /* (queries, keys), added to the scaled products; or null */
    int64_t mask_stride;
    float *out; /* (queries, head size) */
    int64_t out_stride;
};

struct AttentionKernels {
    /* Queries `first` to `last`. */
    void (*attend)(const Attention &attention, int64_t first, int64_t last);
};

enum { largest_head = 512 };

extern const AttentionKernels attention_avx2, attention_avx512;

}  // namespace sdpy

#endif
