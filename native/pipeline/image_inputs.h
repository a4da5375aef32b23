// From pictures that are handed in to what the denoiser reads. The arithmetic and the order in which random numbers are
// drawn are the engine's own (its prepare_image_generation_latents). For pipeline/pipeline.cpp, after the engine's main file.
#pragma once

#include <cstdint>
#include <vector>

#include "base/errors.h"
#include "pipeline/conditions.h"
#include "pipeline/pipeline.h"

namespace sdpy {

// (height, width, channels) in bytes to (width, height, channels, 1) from 0 to 1.
inline sd::Tensor<float> picture_tensor(const Array &picture) {
    const bool grey = picture.shape.size() == 2;
    if (picture.dtype != SDPY_UINT8 || (!grey && (picture.shape.size() != 3 || picture.shape[2] != 3))) {
        throw BadSettings("a picture must be bytes of shape (height, width, 3), and a mask of (height, width)");
    }
    const int64_t height = picture.shape[0], width = picture.shape[1], channels = grey ? 1 : 3;
    sd::Tensor<float> tensor({width, height, channels, 1});
    for (int64_t pixel = 0; pixel < width * height; ++pixel) {
        for (int64_t channel = 0; channel < channels; ++channel) {
            tensor.data()[channel * width * height + pixel] =
                static_cast<float>(picture.bytes[static_cast<size_t>(pixel * channels + channel)]) / 255.0f;
        }
    }
    return tensor;
}

// 1 where the picture is generated anew, else 0.
inline sd::Tensor<float> mask_tensor(const Arrays &mask, int width, int height) {
    if (mask.empty()) {
        return sd::full<float>({width, height, 1, 1}, 1.f);
    }
    sd::Tensor<float> tensor = picture_tensor(mask.front());
    if (tensor.shape()[0] != width || tensor.shape()[1] != height || tensor.shape()[2] != 1) {
        throw BadSettings("the mask has another size than the picture");
    }
    return sd::ops::round(tensor);
}

// A picture whose covered part is grey, for denoisers that read what is around a hole.
inline sd::Tensor<float> covered(const sd::Tensor<float> &picture, const sd::Tensor<float> &mask) {
    return ((1.0f - mask) * (picture - 0.5f)) + 0.5f;
}

// What stands beside the noisy latent at the entrance of a denoiser that was made for filling holes.
struct Surroundings {
    sd::Tensor<float> with_picture, without_picture;  // the second for the negative prompt
};

inline Surroundings surroundings(SDVersion version, const sd::Tensor<float> &around, const sd::Tensor<float> &mask,
                                 const sd::Tensor<float> &latent_mask, int cell) {
    const sd::Tensor<float> nothing = sd::Tensor<float>::zeros_like(around);
    if (version != VERSION_FLUX_FILL) {
        return {sd::ops::concat(latent_mask, around, 2), sd::ops::concat(latent_mask, nothing, 2)};
    }
    // The mask in full: a cell's pixels become channels.
    const int64_t columns = mask.shape()[0] / cell, rows = mask.shape()[1] / cell;
    const sd::Tensor<float> cells = sd::Tensor<float>(mask)
                                        .reshape({cell, columns, cell, rows})
                                        .permute({1, 3, 0, 2})
                                        .reshape({columns, rows, cell * cell, 1});
    return {sd::ops::concat(around, cells, 2), sd::ops::concat(nothing, cells, 2)};
}

// How much of a schedule is run from a picture, as the engine cuts it: at least the last step.
inline void cut_schedule(std::vector<float> &sigmas, float strength) {
    const size_t steps = sigmas.size() - 1;
    if (strength >= 1.0f || steps == 0) {
        return;
    }
    size_t kept = static_cast<size_t>(static_cast<float>(steps) * strength);
    if (kept == steps) {
        --kept;
    }
    sigmas.erase(sigmas.begin(), sigmas.begin() + static_cast<std::ptrdiff_t>(steps - kept - 1));
}

// What the denoiser begins from, and what stands beside it.
struct DenoiserInputs {
    sd::Tensor<float> latent, mask;
    std::vector<sd::Tensor<float>> references;
};

// A latent of the VAE's output, which the engine's generator of random numbers has a part in.
inline sd::Tensor<float> latent_of(StableDiffusionGGML &sd, const Array &array) {
    const sd::Tensor<float> given = to_tensor<float>(array, 4);
    if (array.name == "latent") {
        return given;
    }
    VAE &vae = *sd.first_stage_model;
    return vae.vae_to_diffusion_latents(vae.vae_output_to_latents(given, sd.rng));
}

inline DenoiserInputs inputs_of(StableDiffusionGGML &sd, const DenoiseRequest &request, SDCondition &text,
                                SDCondition &negative) {
    sd.rng->manual_seed(request.settings.seed);  // a VAE's output is drawn from; in the engine's order
    DenoiserInputs inputs;
    inputs.latent = sd.generate_init_latent(request.settings.width, request.settings.height);
    if (!request.start.empty()) {
        sd::Tensor<float> start = latent_of(sd, request.start.front());
        if (start.shape() != inputs.latent.shape()) {
            throw BadSettings("the init image has another size than the picture to generate");
        }
        inputs.latent = std::move(start);
    }
    for (const Array &reference : request.references) {
        inputs.references.push_back(latent_of(sd, reference));
    }
    const int cell = sd.get_vae_scale_factor();
    const sd::Tensor<float> mask = mask_tensor(request.mask, request.settings.width, request.settings.height);
    inputs.mask = sd::ops::interpolate(mask, {request.settings.width / cell, request.settings.height / cell, 1, 1},
                                       sd::ops::InterpolateMode::NearestMax);
    if (sd_version_is_inpaint(sd.version)) {
        const sd::Tensor<float> around = request.around.empty() ? sd::Tensor<float>::zeros_like(inputs.latent)
                                                                : latent_of(sd, request.around.front());
        const Surroundings sides = surroundings(sd.version, around, mask, inputs.mask, cell);
        text.c_concat = sides.with_picture;
        if (!negative.empty()) {
            negative.c_concat = sides.without_picture;
        }
        inputs.mask = sd::ops::max_pool_2d(inputs.mask, {3, 3}, {1, 1}, {1, 1});
    }
    return inputs;
}

}  // namespace sdpy
