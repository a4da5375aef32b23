// Between requests and the engine's own parameters and pictures. For pipeline.cpp, after the engine's main file.
#pragma once

#include <cmath>
#include <memory>

#include "errors.h"
#include "pipeline.h"

namespace sdpy {

// How many graphs a sampler computes in one step, for progress inside the step.
inline int graphs_per_step(sample_method_t sampler, bool guided) {
    const bool second_order = sampler == HEUN_SAMPLE_METHOD || sampler == DPM2_SAMPLE_METHOD ||
                              sampler == DPMPP2S_A_SAMPLE_METHOD || sampler == RES_2S_SAMPLE_METHOD;
    return (second_order ? 2 : 1) * (guided ? 2 : 1);
}

inline sd_img_gen_params_t engine_params(const DenoiseRequest &request) {
    sd_img_gen_params_t params;
    sd_img_gen_params_init(&params);
    params.width = request.width;
    params.height = request.height;
    params.seed = static_cast<int64_t>(request.seed & INT64_MAX);  // only ever used for the generators seeded above
    params.sample_params.sample_steps = request.steps;
    params.sample_params.sample_method = str_to_sample_method(request.sampler.c_str());
    if (params.sample_params.sample_method == SAMPLE_METHOD_COUNT) {
        throw BadSettings("no sampler is called '" + request.sampler + "'");
    }
    if (request.sigmas.empty()) {
        params.sample_params.scheduler = str_to_scheduler(request.scheduler.c_str());
        if (params.sample_params.scheduler == SCHEDULER_COUNT) {
            throw BadSettings("no scheduler is called '" + request.scheduler + "'");
        }
    }
    params.sample_params.guidance.txt_cfg = request.cfg_scale;
    params.sample_params.eta = request.eta;
    params.sample_params.flow_shift = request.flow_shift;
    return params;
}

inline void check_finite(const sd::Tensor<float> &pixels) {
    for (int64_t i = 0; i < pixels.numel(); ++i) {
        if (!std::isfinite(pixels.data()[i])) {
            throw GenerationFailed("the VAE gave values that are not numbers, so there is no picture");
        }
    }
}

inline Array to_picture(const sd::Tensor<float> &pixels) {
    sd_image_t image = tensor_to_sd_image(pixels);
    std::unique_ptr<uint8_t, decltype(&free)> data(image.data, &free);
    const size_t bytes = static_cast<size_t>(image.width) * image.height * image.channel;
    return {"image", SDPY_UINT8, {image.height, image.width, image.channel}, {data.get(), data.get() + bytes}};
}

}  // namespace sdpy
