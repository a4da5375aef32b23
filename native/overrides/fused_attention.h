// Attention on the CPU in one node.
#pragma once

#include "ggml_extend.hpp"
#include "kernels/graph.h"

namespace sdpy {

// The engine computes the weights of all pairs of tokens, and transposed copies of values and of the result. Ours reads
// queries, keys and values where they lie. Takes the place of the engine's function, with its arguments:
//   by heads:  q, k (head size, tokens, heads * batch), v (head size, heads, tokens, batch)
//   otherwise: q, k, v (head size * heads, tokens, batch)
//   result:    (head size * heads, tokens, batch)
inline ggml_tensor *fused_attention(ggml_context *context, ggml_backend_t backend, ggml_tensor *q, ggml_tensor *k,
                                    ggml_tensor *v, int64_t heads, ggml_tensor *mask = nullptr, bool by_heads = false,
                                    bool flash = false, float kv_scale = 1.0f) {
    const int64_t batch = by_heads ? v->ne[3] : q->ne[2], size = by_heads ? v->ne[0] : q->ne[0] / heads;
    // (head size, tokens, heads, batch) of what has the tokens behind the heads, or before them.
    const auto with_heads = [&](ggml_tensor *x, int64_t tokens, int64_t count, size_t token, size_t head, size_t one) {
        return ggml_view_4d(context, x, size, tokens, count, batch, token, head, one, 0);
    };
    const size_t head_bytes = static_cast<size_t>(size) * sizeof(float);
    const auto by_tokens = [&](ggml_tensor *x) {
        return with_heads(x, x->ne[1], x->ne[0] / size, x->nb[1], head_bytes, x->nb[2]);
    };
    const auto apart = [&](ggml_tensor *x) {
        const int64_t count = x->ne[2] / batch;
        return with_heads(x, x->ne[1], count, x->nb[1], x->nb[2], x->nb[2] * static_cast<size_t>(count));
    };
    ggml_tensor *node = nullptr;
    if (!flash && Kernels::on() && by_heads && batch > 0) {
        ggml_tensor *values = with_heads(v, v->ne[2], v->ne[1], v->nb[2], v->nb[1], v->nb[3]);
        node = attention_node(context, apart(q), apart(k), values, mask);
    } else if (!flash && Kernels::on() && batch > 0) {
        node = attention_node(context, by_tokens(q), by_tokens(k), by_tokens(v), mask);
    }
    return node != nullptr ? node
                           : ggml_ext_attention_ext(context, backend, q, k, v, heads, mask, by_heads, flash, kv_scale);
}

}  // namespace sdpy
