// Rotary embedding on the CPU in one pass.
#pragma once

#include "ggml_extend.hpp"
#include "kernels/graph.h"
#include "kernels/levels.h"
#include "overrides/split_heads.h"
#include "rope.hpp"

namespace sdpy {

// The engine rotates pairs by two repetitions, two products whose rows are two numbers long, a sum and four copies. In a
// small picture that takes a third of a step. This is the same arithmetic, so the same bits, in a node of its own:
//   x:      (head size, heads, tokens, batch), of any strides
//   angles: (2, 2, head size / 2, tokens), for each pair the matrix ((cos, -sin), (sin, cos))
//   result: (head size, tokens, heads * batch)
// `apart` tells whether the two of a pair lie half a head apart (else they are neighbours).
template <bool apart>
void rotate(ggml_tensor *result, int thread, int threads, void *) {
    const ggml_tensor *x = result->src[0];
    const ggml_tensor *angles = result->src[1];
    const int64_t half = x->ne[0] / 2, heads = x->ne[1], tokens = x->ne[2];
    const int64_t rows = tokens * result->ne[2];
    for (int64_t row = thread * rows / threads; row < (thread + 1) * rows / threads; ++row) {
        const int64_t token = row % tokens, head = row / tokens;
        const auto *from = reinterpret_cast<const float *>(
            static_cast<const char *>(x->data) + head % heads * x->nb[1] + token * x->nb[2] + head / heads * x->nb[3]);
        const float *matrix = static_cast<const float *>(angles->data) + 4 * half * token;
        float *to = static_cast<float *>(result->data) + row * 2 * half;
        for (int64_t i = 0; i < half; ++i, matrix += 4) {
            const int64_t first = apart ? i : 2 * i, second = apart ? i + half : 2 * i + 1;
            to[first] = from[first] * matrix[0] + from[second] * matrix[1];
            to[second] = from[first] * matrix[2] + from[second] * matrix[3];
        }
    }
}

// Rotates in one pass where our kernels are in use, and else as the engine does.
inline ggml_tensor *rotated(GGMLRunnerContext *ctx, ggml_tensor *x, ggml_tensor *angles, bool interleaved) {
    const bool fits = x->type == GGML_TYPE_F32 && x->nb[0] == sizeof(float) && angles->type == GGML_TYPE_F32 &&
                      ggml_is_contiguous(angles) && angles->ne[3] == x->ne[2];
    if (!Kernels::on() || !fits) {
        return Rope::apply_rope(ctx->ggml_ctx, x, angles, interleaved);
    }
    ggml_tensor *arguments[] = {x, angles};
    return ggml_custom_4d(ctx->ggml_ctx, GGML_TYPE_F32, x->ne[0], x->ne[2], x->ne[1] * x->ne[3], 1, arguments, 2,
                          interleaved ? rotate<false> : rotate<true>, GGML_N_TASKS_MAX, nullptr);
}

}  // namespace sdpy

namespace Rope {

// Takes the place of Rope::attention inside the denoisers.
inline ggml_tensor *rotated_attention(GGMLRunnerContext *ctx, ggml_tensor *q, ggml_tensor *k, ggml_tensor *v,
                                      ggml_tensor *pe, ggml_tensor *mask, float kv_scale = 1.0f,
                                      bool rope_interleaved = true) {
    if (sdpy::switched_off()) {
        return attention(ctx, q, k, v, pe, mask, kv_scale, rope_interleaved);
    }
    ggml_tensor *queries = sdpy::rotated(ctx, q, pe, rope_interleaved);
    return sdpy::attention_in_parts(ctx, queries, sdpy::rotated(ctx, k, pe, rope_interleaved), v, mask, kv_scale);
}

}  // namespace Rope
