// Between requests and the engine's own parameters and pictures. For pipeline/pipeline.cpp, after the engine's main file.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "base/errors.h"
#include "base/numbers.h"
#include "overrides/model_loader.h"
#include "pipeline/pipeline.h"

namespace sdpy {

// How many graphs a sampler computes in one step, for progress inside the step.
inline int graphs_per_step(sample_method_t sampler, bool guided) {
    const bool second_order = sampler == HEUN_SAMPLE_METHOD || sampler == DPM2_SAMPLE_METHOD ||
                              sampler == DPMPP2S_A_SAMPLE_METHOD || sampler == RES_2S_SAMPLE_METHOD;
    return (second_order ? 2 : 1) * (guided ? 2 : 1);
}

// The engine chooses its classes by the option that a file came by.
inline sd_ctx_params_t context_params(const ModelPaths &files) {
    sd_ctx_params_t params;
    sd_ctx_params_init(&params);
    params.model_path = files[SDPY_FILE_MODEL].c_str();
    params.diffusion_model_path = files[SDPY_FILE_DIFFUSION_MODEL].c_str();
    params.llm_path = files[SDPY_FILE_LLM].c_str();
    params.clip_l_path = files[SDPY_FILE_CLIP_L].c_str();
    params.clip_g_path = files[SDPY_FILE_CLIP_G].c_str();
    params.t5xxl_path = files[SDPY_FILE_T5XXL].c_str();
    params.vae_path = files[SDPY_FILE_VAE].c_str();
    params.taesd_path = files[SDPY_FILE_TAE].c_str();
    return params;
}

// What lies where, by the paths that the engine is given.
inline std::map<std::string, std::string> arrangements_of(const OpenRequest &request) {
    std::map<std::string, std::string> texts;
    for (int file = 0; file < SDPY_FILE_COUNT; ++file) {
        if (!request.arrangements[file].empty()) {
            texts[request.files[file]] = request.arrangements[file];
        }
    }
    return texts;
}

// What the engine takes the files for, by the names of their tensors.
inline SDVersion version_of(const ModelPaths &files) {
    PlanningLoader loader;
    if (!files[SDPY_FILE_MODEL].empty()) {
        loader.init_from_file(files[SDPY_FILE_MODEL]);
    }
    if (!files[SDPY_FILE_DIFFUSION_MODEL].empty()) {
        loader.init_from_file(files[SDPY_FILE_DIFFUSION_MODEL], "model.diffusion_model.");
    }
    loader.convert_tensors_name();
    return loader.get_sd_version();
}

inline sd_tiling_params_t tiling(int tile_size) { return {tile_size > 0, tile_size, tile_size, 0.5f, 0.f, 0.f}; }

inline sd_img_gen_params_t engine_params(const sdpy_settings &settings, bool own_schedule) {
    sd_img_gen_params_t params;
    sd_img_gen_params_init(&params);
    params.width = settings.width;
    params.height = settings.height;
    params.seed = static_cast<int64_t>(settings.seed & INT64_MAX);  // only ever used for the generators seeded above
    params.sample_params.sample_steps = settings.steps;
    params.sample_params.sample_method = str_to_sample_method(settings.sampler);
    if (params.sample_params.sample_method == SAMPLE_METHOD_COUNT) {
        throw BadSettings(std::string("no sampler is called '") + settings.sampler + "'");
    }
    if (own_schedule) {
        params.sample_params.scheduler = str_to_scheduler(settings.scheduler);
        if (params.sample_params.scheduler == SCHEDULER_COUNT) {
            throw BadSettings(std::string("no scheduler is called '") + settings.scheduler + "'");
        }
    }
    params.sample_params.guidance.txt_cfg = settings.cfg_scale;
    params.sample_params.guidance.distilled_guidance = settings.guidance;
    params.sample_params.eta = settings.eta;
    params.sample_params.flow_shift = settings.flow_shift;
    return params;
}

// Stable Diffusion 2 comes in two kinds, which differ in nothing that a file says: the engine finds out by computing. Its
// init was told the one kind; with weights in memory, this corrects it.
inline void decide_prediction(StableDiffusionGGML &sd) {
    if (!sd.is_using_v_parameterization_for_sd2(sd_version_is_inpaint(sd.version))) {
        return;
    }
    const auto schedule = std::dynamic_pointer_cast<CompVisDenoiser>(sd.denoiser);
    const auto predicting_v = std::make_shared<CompVisVDenoiser>();
    std::copy(std::begin(schedule->sigmas), std::end(schedule->sigmas), std::begin(predicting_v->sigmas));
    std::copy(std::begin(schedule->log_sigmas), std::end(schedule->log_sigmas), std::begin(predicting_v->log_sigmas));
    sd.denoiser = predicting_v;
}

// How many numbers a denoiser reads beside the text states.
inline int64_t vector_length(const StableDiffusionGGML &sd, const SDCondition &condition) {
    if (std::dynamic_pointer_cast<T5CLIPEmbedder>(sd.cond_stage_model)) {
        return condition.c_crossattn.shape()[1];  // a mask over the states
    }
    const bool reads =
        sd_version_is_flux(sd.version) || sd_version_is_sd3(sd.version) || sd_version_is_sdxl(sd.version);
    return reads ? sd.diffusion_model->get_adm_in_channels() : 0;
}

// For measuring, where nobody has encoded a prompt.
inline void complete(const StableDiffusionGGML &sd, SDCondition &condition) {
    const int64_t length = vector_length(sd, condition);
    if (condition.c_vector.empty() && length > 0) {
        condition.c_vector = sd::zeros<float>({length});
    }
}

// The engine follows null where something is missing.
inline void check_condition(const StableDiffusionGGML &sd, const SDCondition &condition) {
    if (condition.c_crossattn.empty() || condition.c_crossattn.dim() != 2) {
        throw BadSettings("an encoded prompt has no text states");
    }
    const int64_t length = vector_length(sd, condition);
    if (condition.c_vector.numel() != length && (length > 0 || !condition.c_vector.empty())) {
        throw BadSettings("an encoded prompt holds a vector of " + std::to_string(condition.c_vector.numel()) +
                          " numbers, and this denoiser reads " + std::to_string(length));
    }
}

// Of other models the engine makes sigmas of zero, and of their latents no numbers.
inline void check_scheduler(scheduler_t scheduler, SDVersion version) {
    if (scheduler == AYS_SCHEDULER && !sd_version_is_sd1(version) && !sd_version_is_sdxl(version)) {
        throw BadSettings(
            "the scheduler 'ays' has noise levels for Stable Diffusion 1 and XL alone; take another for this model");
    }
}

inline void check_finite(const char *part, const sd::Tensor<float> &values, bool infinite_too = false) {
    check_numbers(part, values.data(), values.numel(), infinite_too);
}

inline Array to_picture(const sd::Tensor<float> &pixels) {
    sd_image_t image = tensor_to_sd_image(pixels);
    std::unique_ptr<uint8_t, decltype(&free)> data(image.data, &free);
    const size_t bytes = static_cast<size_t>(image.width) * image.height * image.channel;
    return {"image", SDPY_UINT8, {image.height, image.width, image.channel}, {data.get(), data.get() + bytes}};
}

}  // namespace sdpy
