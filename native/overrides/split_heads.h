// Attention, a few heads at a time.
#pragma once

#include <atomic>
#include <cstdint>

#include "ggml_extend.hpp"
#include "overrides/fused_attention.h"

namespace sdpy {

// Bytes that the weights of attention may take at once: one float for each pair of tokens and head.
inline std::atomic<uint64_t> &attention_room() {
    static std::atomic<uint64_t> room{64u << 20};
    return room;
}

// Graphs have room for so many nodes and no more (pipeline/pipeline.cpp).
constexpr int most_parts = 8;

// The engine computes the weights of all heads before it uses any of them, which at 1024x1024 takes more memory than a
// denoiser's own weights. Heads do not know of each other: half of them after the other half gives the same bits. No single
// operation on a GPU takes as long, either.
//   q, k:   (head size, tokens, heads)
//   v:      (head size, heads, tokens)
//   result: (head size * heads, tokens)
inline ggml_tensor *attention_in_parts(GGMLRunnerContext *ctx, ggml_tensor *q, ggml_tensor *k, ggml_tensor *v,
                                       ggml_tensor *mask, float kv_scale, int parts = 1) {
    const int64_t heads = v->ne[1];
    const uint64_t bytes = static_cast<uint64_t>(q->ne[1]) * static_cast<uint64_t>(k->ne[1]) * sizeof(float) *
                           static_cast<uint64_t>(heads);
    if (Kernels::on() || heads == 1 || parts >= most_parts || bytes <= attention_room() || ctx->flash_attn_enabled ||
        v->ne[3] != 1 || q->ne[2] != heads || k->ne[2] != heads) {
        return fused_attention(ctx->ggml_ctx, ctx->backend, q, k, v, heads, mask, true, ctx->flash_attn_enabled,
                               kv_scale);
    }
    const auto part = [&](int64_t first, int64_t count) {
        const auto of = [&](ggml_tensor *x) {
            return ggml_view_3d(ctx->ggml_ctx, x, x->ne[0], x->ne[1], count, x->nb[1], x->nb[2], first * x->nb[2]);
        };
        ggml_tensor *values = ggml_view_4d(ctx->ggml_ctx, v, v->ne[0], count, v->ne[2], 1, v->nb[1], v->nb[2], v->nb[3],
                                           first * v->nb[1]);
        return attention_in_parts(ctx, of(q), of(k), values, mask, kv_scale, 2 * parts);
    };
    const int64_t half = heads / 2;
    ggml_tensor *left = part(0, half);
    return ggml_concat(ctx->ggml_ctx, left, part(half, heads - half), 0);
}

}  // namespace sdpy
