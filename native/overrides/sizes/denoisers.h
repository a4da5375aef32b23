// Sizes that the engine takes for granted in its denoisers, read from the file instead, as it does for its others: see
// overrides/sizes/z_image.h.
#pragma once

#include <memory>
#include <string>

#include "flux.hpp"
#include "mmdit.hpp"
#include "overrides/sizes/clip_t5.h"
#include "qwen_image.hpp"

// The width of Stable Diffusion 3 follows from its depth, of which the engine counts no less than 24.
class SizedMmdit : public MMDiT {
   public:
    SizedMmdit(const String2TensorStorage &stored, const std::string &prefix) : MMDiT(stored) {
        const int64_t blocks_found = sdpy::count_layers(stored, prefix + ".joint_blocks.", ".x_block.attn.qkv.weight");
        if (blocks_found == 0 || blocks_found == depth) {
            return;
        }
        depth = blocks_found;
        hidden_size = context_embedder_out_dim = 64 * depth;
        blocks.clear();
        blocks["x_embedder"] = std::make_shared<PatchEmbed>(input_size, patch_size, in_channels, hidden_size, true);
        blocks["t_embedder"] = std::make_shared<TimestepEmbedder>(hidden_size);
        blocks["y_embedder"] = std::make_shared<VectorEmbedder>(adm_in_channels, hidden_size);
        blocks["context_embedder"] = std::make_shared<Linear>(context_size, context_embedder_out_dim, true, true);
        for (int64_t i = 0; i < depth; ++i) {
            blocks["joint_blocks." + std::to_string(i)] =
                std::make_shared<JointBlock>(hidden_size, depth, mlp_ratio, qk_norm, true, i == depth - 1, i <= d_self);
        }
        blocks["final_layer"] = std::make_shared<FinalLayer>(hidden_size, patch_size, out_channels);
    }
};

class SizedMmditRunner : public MMDiTRunner {
   public:
    SizedMmditRunner(ggml_backend_t backend, bool offload_params_to_cpu, const String2TensorStorage &stored = {},
                     const std::string &prefix = "")
        : MMDiTRunner(backend, offload_params_to_cpu, stored, prefix) {
        free_params_ctx();
        alloc_params_ctx();
        mmdit = SizedMmdit(stored, prefix);
        mmdit.init(params_ctx, stored, prefix);
    }
};

namespace Qwen {

class SizedQwenImageRunner : public QwenImageRunner {
   public:
    SizedQwenImageRunner(ggml_backend_t backend, bool offload_params_to_cpu, const String2TensorStorage &stored = {},
                         const std::string &prefix = "", SDVersion model_version = VERSION_QWEN_IMAGE,
                         bool zero_cond_t = false)
        : QwenImageRunner(backend, offload_params_to_cpu, stored, prefix, model_version, zero_cond_t) {
        const auto [width, context] = sdpy::matrix_size(stored, prefix + ".txt_in.weight");
        if (width == 0 || width % qwen_image_params.attention_head_dim != 0) {
            return;  // the loader will name the missing tensors
        }
        qwen_image_params.num_attention_heads = width / qwen_image_params.attention_head_dim;
        qwen_image_params.joint_attention_dim = context;
        free_params_ctx();
        alloc_params_ctx();
        qwen_image = QwenImageModel(qwen_image_params);
        qwen_image.init(params_ctx, stored, prefix);
    }
};

}  // namespace Qwen

namespace Flux {

// What stands in for the modulations that Chroma left out.
class SizedApproximator : public ChromaApproximator {
   public:
    SizedApproximator(int64_t in_channels, int64_t inner, int64_t hidden_size)
        : ChromaApproximator(in_channels, hidden_size) {
        inner_size = inner;
        blocks["in_proj"] = std::make_shared<Linear>(in_channels, inner_size, true);
        for (int64_t i = 0; i < n_layers; ++i) {
            blocks["norms." + std::to_string(i)] = std::make_shared<RMSNorm>(inner_size);
            blocks["layers." + std::to_string(i)] = std::make_shared<MLPEmbedder>(inner_size, inner_size);
        }
        blocks["out_proj"] = std::make_shared<Linear>(inner_size, hidden_size, true);
    }
};

class SizedFlux : public Flux {
   public:
    SizedFlux(const FluxParams &sizes, int64_t inner) : Flux(sizes) {
        blocks["distilled_guidance_layer"] =
            std::make_shared<SizedApproximator>(sizes.in_dim, inner, sizes.hidden_size);
    }
};

class SizedFluxRunner : public FluxRunner {
   public:
    SizedFluxRunner(ggml_backend_t backend, bool offload_params_to_cpu, const String2TensorStorage &stored = {},
                    const std::string &prefix = "", SDVersion model_version = VERSION_FLUX, bool masked = false)
        : FluxRunner(backend, offload_params_to_cpu, stored, prefix, model_version, masked) {
        const int64_t inner = sdpy::matrix_size(stored, prefix + ".distilled_guidance_layer.in_proj.weight").first;
        if (inner == 0) {
            return;  // no Chroma
        }
        free_params_ctx();
        alloc_params_ctx();
        flux = SizedFlux(flux_params, inner);
        flux.init(params_ctx, stored, prefix);
    }
};

}  // namespace Flux
