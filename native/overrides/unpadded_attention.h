// The text encoder's attention, without the pads.
#pragma once

#include "ggml_extend.hpp"
#include "kernels/graph.h"
#include "overrides/fused_attention.h"
#include "tokenizer/tokenizers.h"

namespace sdpy {

// Sums over the keys keep the order that they have with all pads, and so their very last bit, when the keys that are left
// fill whole vectors and tiles of the backends' kernels.
constexpr int64_t key_granule = 64;

// FLUX.2 pads prompts to 512 tokens. The mask hides the pads from every token, themselves included, and the engine computes
// 512 x 512 logits in each head and layer to give most of them no weight. Here keys and values end where the prompt ends:
// the engine's tokenizer puts pads behind it. Takes the place of the engine's function inside of its language models.
inline ggml_tensor *prompt_attention(ggml_context *context, ggml_backend_t backend, ggml_tensor *q, ggml_tensor *k,
                                     ggml_tensor *v, int64_t heads, ggml_tensor *mask, bool by_heads, bool flash) {
    const int64_t tokens = static_cast<int64_t>(PromptEncoding::counted());
    const int64_t keys = GGML_PAD(tokens, key_granule);
    if (Kernels::on() && by_heads && mask != nullptr && tokens > 0 && keys < k->ne[1]) {
        k = ggml_view_3d(context, k, k->ne[0], keys, k->ne[2], k->nb[1], k->nb[2], 0);
        v = ggml_view_4d(context, v, v->ne[0], v->ne[1], keys, v->ne[3], v->nb[1], v->nb[2], v->nb[3], 0);
        mask = ggml_view_2d(context, mask, keys, mask->ne[1], mask->nb[1], 0);
    }
    return fused_attention(context, backend, q, k, v, heads, mask, by_heads, flash);
}

}  // namespace sdpy
