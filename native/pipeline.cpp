// The unity build over the engine's main file: its classes are ordinary classes here, and the names below are re-pointed
// before it is included. Names that other units use as well are re-pointed in seams.h.
#include "pipeline.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>

#include "boundary.h"
#include "devices.h"
#include "errors.h"
#include "kernels/graph.h"
#include "load_plan.h"
#include "loader.h"
#include "part_weights.h"
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
#define ModelLoader sdpy::PlanningLoader
#define sd_get_default_backend sdpy::backend_of_denoiser
// Parts that are to be on another device than the denoiser: the engine knows only the CPU for that, and asks for it so.
#define ggml_backend_cpu_init sdpy::backend_of_next_part
#define ggml_backend_is_cpu(backend) false
// The engine would put its own callback in place of ours, one that takes ggml's messages, and with them names out of
// files, for formats of printf.
#define ggml_log_set(...) static_cast<void>(0)
#include "stable-diffusion.cpp"
#undef ModelLoader
#undef sd_get_default_backend
#undef ggml_backend_cpu_init
#undef ggml_backend_is_cpu
#undef ggml_log_set

#include "engine_requests.h"

namespace sdpy {

namespace {

class EnginePipeline : public Pipeline {
   public:
    EnginePipeline(const OpenRequest &request, Run &run) : sd_(std::make_unique<StableDiffusionGGML>()) {
        check_threads(request.threads);
        PartDevices devices(request.devices);
        sd_ctx_params_t params;
        sd_ctx_params_init(&params);
        params.diffusion_model_path = request.files[SDPY_DIFFUSION_MODEL].c_str();
        params.llm_path = request.files[SDPY_TEXT_ENCODER].c_str();
        // The engine has two classes of autoencoders and chooses by the option that a file came by.
        (request.vae_is_tiny ? params.taesd_path : params.vae_path) = request.files[SDPY_VAE].c_str();
        params.n_threads = request.threads;
        params.vae_decode_only = true;
        params.free_params_immediately = false;
        params.keep_clip_on_cpu = devices.apart(SDPY_TEXT_ENCODER);
        params.keep_vae_on_cpu = devices.apart(SDPY_VAE);
        LoadPlan plan;
        if (!sd_->init(&params)) {
            const std::string reason = run.last_error();
            throw LoadFailed(reason.empty() ? "the engine refused these files" : reason);
        }
        context_.sd = sd_.get();
        divide(plan);
    }

    void abandon_devices() override {
        for (auto &part : parts_) {
            if (ggml_backend_dev_type(part->device()) == GGML_BACKEND_DEVICE_TYPE_CPU) {
                part->evict();
            } else {
                forget_weights_on(ggml_backend_dev_name(part->device()));
            }
        }
    }

    void abandon_backend() override {
        sd_->backend = sd_->clip_backend = sd_->control_net_backend = sd_->vae_backend = nullptr;
    }

    sdpy_part_info part_info(sdpy_part part) const override {
        const PartWeights &weights = *parts_[part];
        return {weights.bytes(), weights.least_room(), weights.bytes_in_memory()};
    }

    WeightBatches weights(sdpy_part part) const override { return parts_[part]->batches(); }

    void move(const MoveRequest &request, Run &run) override {
        uint64_t total = 0;
        for (int part = 0; part < SDPY_PART_COUNT; ++part) {
            const sdpy_movement movement = request.movements[part];
            if (movement == SDPY_EVICT) {
                parts_[part]->evict();
            }
            total += movement == SDPY_BRING ? parts_[part]->bytes_to_read() : 0;
        }
        run.begin_phase(SDPY_PHASE_LOAD, 1, 1);
        ReadingProgress progress{&run, 0, total};
        for (int part = 0; part < SDPY_PART_COUNT; ++part) {
            if (request.movements[part] == SDPY_BRING) {
                parts_[part]->bring(request.threads, progress);
            } else if (request.movements[part] == SDPY_STREAM) {
                parts_[part]->stream(request.rooms[part], request.threads);
            }
        }
        run.end_phase();
    }

    Arrays encode(const EncodeRequest &request, Run &run) override {
        Phase phase(*this, SDPY_TEXT_ENCODER, request.threads, run);
        PromptLength length(request.max_tokens);
        run.begin_phase(SDPY_PHASE_ENCODE, 1, 1);
        ConditionerParams params;
        params.text = request.prompt;
        params.width = request.width;
        params.height = request.height;
        params.adm_in_channels = static_cast<int>(sd_->diffusion_model->get_adm_in_channels());
        try {
            const SDCondition condition = sd_->cond_stage_model->get_learned_condition(request.threads, params);
            run.end_phase();
            return to_arrays(condition);
        } catch (Measured &measured) {
            measured.tokens = static_cast<int>(PromptLength::counted());
            throw;
        }
    }

    Array denoise(const DenoiseRequest &request, Run &run) override {
        Phase phase(*this, SDPY_DIFFUSION_MODEL, request.threads, run);
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
        Phase phase(*this, SDPY_VAE, request.threads, run);
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
    // What holds during a phase. However it ends, its working buffers are freed: the engine frees them itself only after
    // success.
    class Phase {
       public:
        Phase(EnginePipeline &pipeline, sdpy_part part, int threads, Run &run)
            : pipeline_(pipeline),
              kernels_(ggml_backend_is_cpu(pipeline.backend_of(part)), threads),
              scope_(run, *pipeline.parts_[part]) {
            if (run.measuring()) {
                placeholders_ = std::make_unique<PartWeights::Placeholders>(*pipeline.parts_[part]);
            } else if (!pipeline.parts_[part]->present()) {
                throw GenerationFailed("the weights of this phase are not in memory");
            }
        }
        ~Phase() {
            if (auto embedder = std::dynamic_pointer_cast<LLMEmbedder>(pipeline_.sd_->cond_stage_model)) {
                embedder->llm->free_compute_buffer();
            }
            pipeline_.sd_->diffusion_model->free_compute_buffer();
            pipeline_.sd_->first_stage_model->free_compute_buffer();
        }

       private:
        EnginePipeline &pipeline_;
        Kernels kernels_;
        Run::PartScope scope_;
        std::unique_ptr<PartWeights::Placeholders> placeholders_;
    };

    ggml_backend_t backend_of(sdpy_part part) const {
        return part == SDPY_TEXT_ENCODER ? sd_->clip_backend : part == SDPY_VAE ? sd_->vae_backend : sd_->backend;
    }

    // Gives each part its own share of what is to be loaded.
    void divide(const LoadPlan &plan) {
        EachPart<std::map<std::string, ggml_tensor *>> tensors;
        sd_->cond_stage_model->get_param_tensors(tensors[SDPY_TEXT_ENCODER]);
        sd_->diffusion_model->get_param_tensors(tensors[SDPY_DIFFUSION_MODEL]);
        sd_->first_stage_model->get_param_tensors(tensors[SDPY_VAE], "");
        for (int part = 0; part < SDPY_PART_COUNT; ++part) {
            std::set<const ggml_tensor *> own;
            for (const auto &[name, tensor] : tensors[part]) {
                own.insert(tensor);
            }
            std::vector<PlannedWeight> weights;
            std::copy_if(plan.weights.begin(), plan.weights.end(), std::back_inserter(weights),
                         [&](const PlannedWeight &weight) { return own.count(weight.tensor) != 0; });
            parts_[part] = std::make_unique<PartWeights>(backend_of(static_cast<sdpy_part>(part)), std::move(weights));
        }
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

    std::unique_ptr<StableDiffusionGGML> sd_;
    sd_ctx_t context_;
    // After sd_: they take the memory from its tensors before these are gone.
    EachPart<std::unique_ptr<PartWeights>> parts_;
};

}  // namespace

std::unique_ptr<Pipeline> Pipeline::open(const OpenRequest &request, Run &run) {
    return std::make_unique<EnginePipeline>(request, run);
}

void Pipeline::set_attention_room(uint64_t bytes) { attention_room() = bytes; }

sdpy_measurement Pipeline::measure(Run &run, const std::function<void()> &phase) {
    Run::Measuring measuring(run);
    try {
        phase();
    } catch (const Measured &measured) {
        return {measured.working_bytes, measured.tokens};
    }
    throw GenerationFailed("the phase has no graph that could be measured");
}

}  // namespace sdpy
