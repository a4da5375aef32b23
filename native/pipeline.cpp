// The unity build over the engine's main file: its classes are ordinary classes here, and the names below are re-pointed
// before it is included. Names that other units use as well are re-pointed in seams.h.
#include "pipeline.h"

#include <cmath>
#include <cstring>

#include "boundary.h"
#include "devices.h"
#include "errors.h"
#include "kernels/graph.h"
#include "loader.h"
#include "run.h"
#include "threads.h"

// The conditioner makes our tokenizer, its language models leave out what adds nothing, they and the denoisers use our
// attention, and the Z-Image model makes our runner.
#include "prompt_attention.h"
#include "rotation.h"
#include "silent_layers.h"
#include "tokenizer.h"
#define ggml_ext_attention_ext sdpy::prompt_attention
#define ggml_add_inplace sdpy::add_to_residual
#include "llm.hpp"
#undef ggml_ext_attention_ext
#undef ggml_add_inplace
#define Qwen2Tokenizer sdpy::PromptTokenizer
#define parse_prompt_attention sdpy::whole_prompt
#include "conditioner.hpp"
#undef Qwen2Tokenizer
#undef parse_prompt_attention
#define attention rotated_attention
#include "flux.hpp"
#include "z_image.hpp"
#undef attention
#include "z_image_sizes.h"
#define ZImageRunner SizedRunner
#include "diffusion_model.hpp"
#undef ZImageRunner

// Everything else that the main file includes, with the names unchanged.
#include "auto_encoder_kl.hpp"
#include "control.hpp"
#include "denoiser.hpp"
#include "esrgan.hpp"
#include "lora.hpp"
#include "pmid.hpp"
#include "tae.hpp"
#include "upscaler.h"

#include "condition_arrays.h"

// From here on the engine's main file sees our loader and our choice of device.
#define ModelLoader sdpy::StreamingLoader
#define sd_get_default_backend sdpy::backend_of_this_job
// The engine would put its own callback in place of ours, one that takes ggml's messages, and with them names out of
// files, for formats of printf.
#define ggml_log_set(...) static_cast<void>(0)
#include "stable-diffusion.cpp"
#undef ModelLoader
#undef sd_get_default_backend
#undef ggml_log_set

namespace sdpy {

namespace {

// How many graphs a sampler computes in one step, for progress inside the step.
int graphs_per_step(sample_method_t sampler, bool guided) {
    const bool second_order = sampler == HEUN_SAMPLE_METHOD || sampler == DPM2_SAMPLE_METHOD ||
                              sampler == DPMPP2S_A_SAMPLE_METHOD || sampler == RES_2S_SAMPLE_METHOD;
    return (second_order ? 2 : 1) * (guided ? 2 : 1);
}

class EnginePipeline : public Pipeline {
   public:
    EnginePipeline(const LoadRequest &request, Run &run) : sd_(std::make_unique<StableDiffusionGGML>()) {
        run.begin_phase(SDPY_PHASE_LOAD, 1, 1);
        check_threads(request.threads);
        device_ = request.device;
        DeviceScope device(request.device);
        sd_ctx_params_t params;
        sd_ctx_params_init(&params);
        params.diffusion_model_path = request.diffusion_model.c_str();
        params.llm_path = request.text_encoder.c_str();
        // The engine has two classes of autoencoders and chooses by the option that a file came by.
        (request.vae_is_tiny ? params.taesd_path : params.vae_path) = request.vae.c_str();
        params.n_threads = request.threads;
        params.vae_decode_only = true;
        params.free_params_immediately = false;
        if (!sd_->init(&params)) {
            const std::string reason = run.last_error();
            throw LoadFailed(reason.empty() ? "the engine refused these files" : reason);
        }
        context_.sd = sd_.get();
        run.end_phase();
    }

    void abandon_backend() override {
        sd_->backend = sd_->clip_backend = sd_->control_net_backend = sd_->vae_backend = nullptr;
    }

    sdpy_model_info info() const override {
        sdpy_model_info info{};
        copy_text(info.family, sizeof info.family, model_version_to_str[sd_->version]);
        copy_text(info.device, sizeof info.device, device_);
        info.latent_channels = sd_->get_latent_channel();
        info.pixels_per_latent = sd_->get_vae_scale_factor();
        info.text_encoder_bytes = sd_->cond_stage_model->get_params_buffer_size();
        info.diffusion_model_bytes = sd_->diffusion_model->get_params_buffer_size();
        info.vae_bytes = sd_->first_stage_model->get_params_buffer_size();
        return info;
    }

    Arrays encode(const EncodeRequest &request, Run &run) override {
        WorkingBuffers buffers(*this);
        Kernels kernels(ggml_backend_is_cpu(sd_->clip_backend), request.threads);
        PromptLength length(request.max_tokens);
        run.begin_phase(SDPY_PHASE_ENCODE, 1, 1);
        ConditionerParams params;
        params.text = request.prompt;
        params.width = request.width;
        params.height = request.height;
        params.adm_in_channels = static_cast<int>(sd_->diffusion_model->get_adm_in_channels());
        const SDCondition condition = sd_->cond_stage_model->get_learned_condition(request.threads, params);
        run.end_phase();
        return to_arrays(condition);
    }

    Array denoise(const DenoiseRequest &request, Run &run) override {
        WorkingBuffers buffers(*this);
        Kernels kernels(ggml_backend_is_cpu(sd_->backend), request.threads);
        sd_->n_threads = request.threads;
        sd_img_gen_params_t params = engine_params(request);
        const bool guided = !request.negative.empty();
        run.begin_phase(SDPY_PHASE_DENOISE, request.steps, graphs_per_step(params.sample_params.sample_method, guided));
        GenerationRequest engine_request(&context_, &params);
        if (engine_request.width != request.width || engine_request.height != request.height) {
            throw BadSettings("width and height must be multiples of " + std::to_string(sd_->get_vae_scale_factor()));
        }
        sd_->set_flow_shift(params.sample_params.flow_shift);
        SamplePlan plan(&context_, &params, engine_request);
        if (!request.sigmas.empty()) {
            plan.sigmas = request.sigmas;
        }
        sd_->rng->manual_seed(request.seed);
        sd_->sampler_rng->manual_seed(request.seed);
        const sd::Tensor<float> init_latent = sd_->generate_init_latent(request.width, request.height);
        sd::Tensor<float> latent = sd_->sample(
            sd_->diffusion_model, true, init_latent, noise_for(request, init_latent), to_condition(request.text),
            to_condition(request.negative), SDCondition(), SDCondition(), sd::Tensor<float>(), 0.f,
            engine_request.guidance, plan.eta, engine_request.shifted_timestep, plan.sample_method,
            sd_->is_flow_denoiser(), plan.sigmas, plan.start_merge_step, {}, false,
            sd::full<float>({init_latent.shape()[0], init_latent.shape()[1], 1, 1}, 1.f), sd::Tensor<float>(), 1.f,
            engine_request.cache_params);
        if (latent.empty()) {
            const std::string reason = run.last_error();
            throw GenerationFailed(reason.empty() ? "the denoiser gave no result" : reason);
        }
        run.end_phase();
        return to_array("latent", latent, SDPY_FLOAT32);
    }

    Array decode(const DecodeRequest &request, Run &run) override {
        WorkingBuffers buffers(*this);
        Kernels kernels(ggml_backend_is_cpu(sd_->vae_backend), request.threads);
        sd_->n_threads = request.threads;
        run.begin_phase(SDPY_PHASE_DECODE, 1, 1);
        sd_->vae_tiling_params = {request.tile_size > 0, request.tile_size, request.tile_size, 0.5f, 0.f, 0.f};
        sd_->first_stage_model->set_circular_axes(false, false);
        const sd::Tensor<float> pixels = sd_->decode_first_stage(to_tensor<float>(request.latent, 4));
        if (pixels.empty()) {
            const std::string reason = run.last_error();
            throw GenerationFailed(reason.empty() ? "the VAE gave no result" : reason);
        }
        check_finite(pixels);
        Array picture = to_picture(pixels);
        run.end_phase();
        return picture;
    }

   private:
    // Frees the working buffers however a phase ends: the engine frees them itself only after success.
    class WorkingBuffers {
       public:
        explicit WorkingBuffers(EnginePipeline &pipeline) : pipeline_(pipeline) {}
        ~WorkingBuffers() {
            if (auto embedder = std::dynamic_pointer_cast<LLMEmbedder>(pipeline_.sd_->cond_stage_model)) {
                embedder->llm->free_compute_buffer();
            }
            pipeline_.sd_->diffusion_model->free_compute_buffer();
            pipeline_.sd_->first_stage_model->free_compute_buffer();
        }

       private:
        EnginePipeline &pipeline_;
    };

    sd_img_gen_params_t engine_params(const DenoiseRequest &request) {
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

    sd::Tensor<float> noise_for(const DenoiseRequest &request, const sd::Tensor<float> &init_latent) {
        if (request.noise.empty()) {
            return sd::randn_like<float>(init_latent, sd_->rng);
        }
        sd::Tensor<float> noise = to_tensor<float>(request.noise.front(), 4);
        if (noise.shape() != init_latent.shape()) {
            throw BadSettings("the noise has another shape than the latent of this size");
        }
        return noise;
    }

    static void check_finite(const sd::Tensor<float> &pixels) {
        for (int64_t i = 0; i < pixels.numel(); ++i) {
            if (!std::isfinite(pixels.data()[i])) {
                throw GenerationFailed("the VAE gave values that are not numbers, so there is no picture");
            }
        }
    }

    static Array to_picture(const sd::Tensor<float> &pixels) {
        sd_image_t image = tensor_to_sd_image(pixels);
        std::unique_ptr<uint8_t, decltype(&free)> data(image.data, &free);
        const size_t bytes = static_cast<size_t>(image.width) * image.height * image.channel;
        return {"image", SDPY_UINT8, {image.height, image.width, image.channel}, {data.get(), data.get() + bytes}};
    }

    std::unique_ptr<StableDiffusionGGML> sd_;
    sd_ctx_t context_;
    std::string device_;
};

}  // namespace

std::unique_ptr<Pipeline> Pipeline::load(const LoadRequest &request, Run &run) {
    return std::make_unique<EnginePipeline>(request, run);
}

}  // namespace sdpy
