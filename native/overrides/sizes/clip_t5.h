// The engine takes every CLIP and every T5 for the one size that it was written for. Here the sizes are read from the file,
// as the engine does for its denoisers: a small encoder loads, and one of another size is not taken for a broken file.
#pragma once

#include <memory>
#include <string>

#include "base/errors.h"
#include "clip.hpp"
#include "t5.hpp"

namespace sdpy {

// (rows, columns) of a matrix in a file; zeros where it is not there.
inline std::pair<int64_t, int64_t> matrix_size(const String2TensorStorage &stored, const std::string &name) {
    const auto found = stored.find(name);
    return found == stored.end() ? std::pair<int64_t, int64_t>{0, 0}
                                 : std::pair<int64_t, int64_t>{found->second.ne[1], found->second.ne[0]};
}

inline int64_t count_layers(const String2TensorStorage &stored, const std::string &prefix, const std::string &suffix) {
    int64_t layers = 0;
    while (stored.find(prefix + std::to_string(layers) + suffix) != stored.end()) {
        ++layers;
    }
    return layers;
}

class SizedT5 : public ::T5Runner {
   public:
    SizedT5(ggml_backend_t backend, bool offload_params_to_cpu, const String2TensorStorage &stored,
            const std::string &prefix, bool is_umt5 = false)
        : ::T5Runner(backend, offload_params_to_cpu, stored, prefix, is_umt5) {
        const auto [words, width] = matrix_size(stored, prefix + ".shared.weight");
        const std::string first = prefix + ".encoder.block.0.layer.";
        const int64_t heads = matrix_size(stored, first + "0.SelfAttention.relative_attention_bias.weight").second;
        const int64_t inner = matrix_size(stored, first + "1.DenseReluDense.wi_0.weight").first;
        const int64_t layers = count_layers(stored, prefix + ".encoder.block.", ".layer.0.layer_norm.weight");
        if (width == 0 || heads == 0 || inner == 0 || layers == 0) {
            return;  // the loader will name the missing tensors
        }
        if (words < params.vocab_size) {  // the tokenizer's numbers would point behind the table
            throw LoadFailed("the T5 text encoder knows " + std::to_string(words) + " tokens, and needs " +
                             std::to_string(params.vocab_size));
        }
        params.vocab_size = words;
        params.model_dim = width;
        params.ff_dim = inner;
        params.num_heads = heads;
        params.num_layers = layers;
        // The base class has described its default model in the parameter context; describe the real one instead.
        free_params_ctx();
        alloc_params_ctx();
        model = T5(params);
        model.init(params_ctx, stored, prefix);
    }
};

class SizedClipModel : public ::CLIPTextModel {
   public:
    SizedClipModel(CLIPVersion clip_version, bool final_ln, bool force_clip_f32, bool proj_in, int64_t width,
                   int64_t inner, int64_t layers)
        : ::CLIPTextModel(clip_version, final_ln, force_clip_f32, proj_in) {
        n_head = static_cast<int32_t>(width / (hidden_size / n_head));  // heads have one size in all of a kind
        hidden_size = static_cast<int32_t>(width);
        intermediate_size = static_cast<int32_t>(inner);
        n_layer = static_cast<int32_t>(layers);
        blocks["embeddings"] = std::make_shared<CLIPEmbeddings>(hidden_size, vocab_size, n_token, force_clip_f32);
        blocks["encoder"] = std::make_shared<CLIPEncoder>(n_layer, hidden_size, n_head, intermediate_size, proj_in);
        blocks["final_layer_norm"] = std::make_shared<LayerNorm>(hidden_size);
    }
    // The projection's width is the file's too.
    void project_to(int64_t width) { projection_dim = static_cast<int32_t>(width); }
};

class SizedClip : public ::CLIPTextModelRunner {
   public:
    SizedClip(ggml_backend_t backend, bool offload_params_to_cpu, const String2TensorStorage &stored,
              const std::string &prefix, CLIPVersion version = OPENAI_CLIP_VIT_L_14, bool with_final_ln = true,
              bool force_clip_f32 = false)
        : ::CLIPTextModelRunner(backend, offload_params_to_cpu, stored, prefix, version, with_final_ln,
                                force_clip_f32) {
        const int64_t width = matrix_size(stored, prefix + ".embeddings.token_embedding.weight").second;
        const std::string layers = prefix + ".encoder.layers.";
        const int64_t inner = matrix_size(stored, layers + "0.mlp.fc1.weight").first;
        const int64_t count = count_layers(stored, layers, ".layer_norm1.weight");
        const int64_t head = model.hidden_size / model.n_head;
        if (width == 0 || inner == 0 || count == 0 || width % head != 0 ||
            (width == model.hidden_size && inner == model.intermediate_size && count == model.n_layer) ||
            (width == model.hidden_size && inner == model.intermediate_size && count + 1 == model.n_layer)) {
            return;  // of the usual size (the last layer of some is left out of files), or the loader names what is missing
        }
        const bool proj_in = stored.find(layers + "0.self_attn.in_proj.weight") != stored.end();
        SizedClipModel sized(version, with_final_ln, force_clip_f32, proj_in, width, inner, count);
        const int64_t projected = matrix_size(stored, prefix + ".text_projection").second;
        if (projected != 0) {
            sized.project_to(projected);
        }
        free_params_ctx();
        alloc_params_ctx();
        model = sized;
        model.init(params_ctx, stored, prefix);
    }
};

}  // namespace sdpy
