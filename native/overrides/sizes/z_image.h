// The engine takes every Z-Image for the 6-billion one (3840 wide, 30 layers). Here the sizes are read from the file, as
// the engine does for its other families: a small Z-Image loads, and one of another size is not taken for a broken file.
#pragma once

#include <string>

#include "overrides/sizes/clip_t5.h"
#include "z_image.hpp"

namespace ZImage {

// Takes the place of the engine's ZImageRunner inside its ZImageModel (see pipeline/pipeline.cpp).
class SizedRunner : public ZImageRunner {
   public:
    SizedRunner(ggml_backend_t backend, bool offload_params_to_cpu, const String2TensorStorage &stored = {},
                const std::string &prefix = "", SDVersion model_version = VERSION_Z_IMAGE)
        : ZImageRunner(backend, offload_params_to_cpu, stored, prefix, model_version) {
        read_sizes(stored, prefix + ".");
        // The base class has described its default model in the parameter context; describe the real one instead.
        free_params_ctx();
        alloc_params_ctx();
        z_image = ZImageModel(z_image_params);
        z_image.init(params_ctx, stored, prefix);
    }

   private:
    void read_sizes(const String2TensorStorage &stored, const std::string &prefix) {
        const std::string embedder = prefix + "cap_embedder.1.weight";
        if (stored.find(embedder) == stored.end()) {
            return;  // the loader will name the missing tensors
        }
        const auto [width, caption] = sdpy::matrix_size(stored, embedder);
        z_image_params.cap_feat_dim = caption;
        z_image_params.hidden_size = width;
        z_image_params.num_heads = z_image_params.num_kv_heads = z_image_params.hidden_size / z_image_params.head_dim;
        z_image_params.num_layers = sdpy::count_layers(stored, prefix + "layers.", ".attention_norm1.weight");
        z_image_params.num_refiner_layers =
            sdpy::count_layers(stored, prefix + "noise_refiner.", ".attention_norm1.weight");
    }
};

}  // namespace ZImage
