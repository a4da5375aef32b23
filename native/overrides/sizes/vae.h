// Sizes that the engine takes for granted in its autoencoders, read from the file instead: see overrides/sizes/z_image.h.
#pragma once

#include <memory>
#include <string>

#include "auto_encoder_kl.hpp"
#include "wan.hpp"

namespace sdpy {

// Output channels of a convolution in a file; 0 where it is not there.
inline int64_t channels_out(const String2TensorStorage &stored, const std::string &name) {
    const auto found = stored.find(name);
    return found == stored.end() ? 0 : found->second.ne[found->second.n_dims - 1];
}

// The engine reads the decoder's width, and not the encoder's.
class SizedKlModel : public ::AutoEncoderKLModel {
   public:
    SizedKlModel(const ::AutoEncoderKLModel &model, int64_t width, bool use_linear_projection)
        : ::AutoEncoderKLModel(model) {
        blocks["encoder"] =
            std::make_shared<Encoder>(width, dd_config.ch_mult, dd_config.num_res_blocks, dd_config.in_channels,
                                      dd_config.z_channels, dd_config.double_z, use_linear_projection);
    }
    static constexpr int64_t usual_width = 128;
};

class SizedAutoEncoder : public ::AutoEncoderKL {
   public:
    SizedAutoEncoder(ggml_backend_t backend, bool offload_params_to_cpu, const String2TensorStorage &stored,
                     const std::string &prefix, bool without_encoder = false, bool use_video_decoder = false,
                     SDVersion model_version = VERSION_SD1)
        : ::AutoEncoderKL(backend, offload_params_to_cpu, stored, prefix, without_encoder, use_video_decoder,
                          model_version) {
        const int64_t width = channels_out(stored, prefix + ".encoder.conv_in.weight");
        if (without_encoder || width == 0 || width == SizedKlModel::usual_width) {
            return;
        }
        const auto projection = stored.find(prefix + ".encoder.mid.attn_1.proj_out.weight");
        free_params_ctx();
        alloc_params_ctx();
        ae = SizedKlModel(ae, width, projection != stored.end() && projection->second.n_dims == 2);
        ae.init(params_ctx, stored, prefix);
    }
};

}  // namespace sdpy

namespace WAN {

class SizedWanVae : public WanVAE {
   public:
    SizedWanVae(const WanVAE &vae, int64_t encoder_width, int64_t decoder_width) : WanVAE(vae) {
        dim = encoder_width;
        dec_dim = decoder_width;
        if (!decode_only) {
            blocks["encoder"] =
                std::make_shared<Encoder3d>(dim, z_dim * 2, dim_mult, num_res_blocks, temperal_downsample, wan2_2);
        }
        blocks["decoder"] =
            std::make_shared<Decoder3d>(dec_dim, z_dim, dim_mult, num_res_blocks, temperal_upsample, wan2_2);
    }
};

class SizedWanVAERunner : public WanVAERunner {
   public:
    SizedWanVAERunner(ggml_backend_t backend, bool offload_params_to_cpu, const String2TensorStorage &stored = {},
                      const std::string &prefix = "", bool without_encoder = false,
                      SDVersion model_version = VERSION_WAN2)
        : WanVAERunner(backend, offload_params_to_cpu, stored, prefix, without_encoder, model_version) {
        // A bias tells the channels of a three-dimensional convolution, whose weights files flatten.
        const int64_t decoder = sdpy::channels_out(stored, prefix + ".decoder.conv1.bias") / ae.dim_mult.back();
        const int64_t encoder = sdpy::channels_out(stored, prefix + ".encoder.conv1.bias");
        if (decoder == 0 || (decoder == ae.dec_dim && (encoder == 0 || encoder == ae.dim))) {
            return;
        }
        free_params_ctx();
        alloc_params_ctx();
        ae = SizedWanVae(ae, encoder == 0 ? ae.dim : encoder, decoder);
        ae.init(params_ctx, stored, prefix);
    }
};

}  // namespace WAN
