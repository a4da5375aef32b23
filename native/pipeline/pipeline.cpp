// The phases of the engine's pipeline. Its main file is included here (overrides/engine.h), so that its classes are ordinary
// classes.
#include "pipeline/pipeline.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>

#include "base/errors.h"
#include "base/status.h"
#include "devices/cpu_threads.h"
#include "devices/devices.h"
#include "devices/thread_check.h"
#include "jobs/run.h"
#include "kernels/graph.h"
#include "overrides/gpu_rules.h"
#include "overrides/model_loader.h"
#include "weights/load_plan.h"
#include "weights/part_weights.h"

#include "overrides/engine.h"
#include "pipeline/encoders.h"
#include "pipeline/engine_params.h"
#include "pipeline/image_inputs.h"
#include "pipeline/lora_layers.h"

namespace sdpy {

namespace {

class EnginePipeline : public Pipeline {
   public:
    EnginePipeline(const OpenRequest &request, Run &run)
        : sd_(std::make_unique<StableDiffusionGGML>()), thread_count_(request.threads), rules_(request.rules) {
        check_threads(thread_count_);
        PartDevices devices(request.devices);
        const ArrangedFiles arranged(arrangements_of(request));
        sd_ctx_params_t params = context_params(request.files);
        params.n_threads = thread_count_;
        // The encoder's half costs nothing until a picture is encoded.
        params.vae_decode_only = false;
        params.free_params_immediately = false;
        // The engine would find it out by computing, and there are no weights yet (decide_prediction). It knows this family
        // in whole checkpoints only; other files need not be read twice.
        const bool whole = !request.files[SDPY_FILE_MODEL].empty();
        params.prediction = whole && sd_version_is_sd2(version_of(request.files)) ? EPS_PRED : PREDICTION_COUNT;
        params.keep_clip_on_cpu = devices.apart(SDPY_TEXT_ENCODER);
        params.keep_vae_on_cpu = devices.apart(SDPY_VAE);
        LoadPlan plan;
        if (!sd_->init(&params)) {
            const std::string reason = run.last_error();
            throw LoadFailed(reason.empty() ? "the engine refused these files" : reason);
        }
        reads_pictures_ = plan.reads_pictures;
        prediction_known_ = !sd_version_is_sd2(sd_->version);
        context_.sd = sd_.get();
        pool_ = std::make_unique<CpuThreads>(
            std::vector<ggml_backend_t>{sd_->clip_backend, sd_->backend, sd_->vae_backend});
        pool_->provide(thread_count_);
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
        return {weights.bytes(), weights.least_room(), weights.ahead_room(), weights.bytes_in_memory(),
                weights.waited()};
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
                parts_[part]->bring(thread_count_, progress);
            } else if (request.movements[part] == SDPY_STREAM) {
                parts_[part]->stream(request.rooms[part], thread_count_);
            }
        }
        run.end_phase();
    }

    Array find_layers(const std::vector<std::string> &keys) const override {
        const LayerNames names(layers_, sd_->version);
        std::string lines;
        for (const std::string &key : keys) {
            const auto [name, index] = names.find(key);
            if (!name.empty()) {
                const ModelLayer &layer = layers_.at(name);
                lines += name + ' ' + std::to_string(index) + ' ' + std::to_string(layer.part);
                for (const int64_t extent : layer.weight->ne) {
                    lines += ' ' + std::to_string(extent);
                }
            }
            lines += '\n';
        }
        return {"layers", SDPY_UINT8, {static_cast<int64_t>(lines.size())}, {lines.begin(), lines.end()}};
    }

    void adapt(const std::vector<LoraLayer> &given) override {
        loras_ = {};
        set_adapters();
        EachPart<std::vector<const LoraLayer *>> by_part;
        for (const LoraLayer &layer : given) {
            const auto found = layers_.find(layer.layer);
            if (found == layers_.end()) {
                throw BadSettings("the model has no layer '" + layer.layer + "'");
            }
            by_part[found->second.part].push_back(&layer);
        }
        EachPart<std::shared_ptr<LoraLayers>> fresh;
        for (int part = 0; part < SDPY_PART_COUNT; ++part) {
            if (!by_part[part].empty()) {
                fresh[part] =
                    std::make_shared<LoraLayers>(backend_of(static_cast<sdpy_part>(part)), by_part[part], layers_);
            }
        }
        loras_ = std::move(fresh);
        set_adapters();
    }

    Arrays encode(const EncodeRequest &request, Run &run) override {
        Phase phase(*this, SDPY_TEXT_ENCODER, run);
        PromptEncoding encoding(request.max_tokens);
        run.begin_phase(SDPY_PHASE_ENCODE, 1, 1);
        ConditionerParams params;
        params.text = request.prompt;
        params.width = request.settings.width;
        params.height = request.settings.height;
        params.clip_skip = request.settings.clip_skip > 0 ? request.settings.clip_skip : -1;
        params.adm_in_channels = static_cast<int>(sd_->diffusion_model->get_adm_in_channels());
        Conditioner &conditioner = *sd_->cond_stage_model;
        if (run.measuring()) {
            Measured measured =
                measure_encoders(conditioner, [&] { condition_of(conditioner, thread_count_, params); });
            measured.tokens = states_of(conditioner, request.prompt);
            throw measured;
        }
        const SDCondition condition = condition_of(conditioner, thread_count_, params);
        check_finite("text encoder", condition.c_crossattn);
        check_finite("text encoder", condition.c_vector, true);  // Chroma's is a mask of the words to look at
        warn_of_unused(SDPY_TEXT_ENCODER, run);
        run.end_phase();
        return to_arrays(condition);
    }

    Array encode_picture(const EncodePictureRequest &request, Run &run) override {
        Phase phase(*this, SDPY_VAE, run);
        if (!reads_pictures_) {
            throw BadSettings("this VAE has no encoder, so no picture can be handed in; get the whole VAE");
        }
        sd::Tensor<float> picture = picture_tensor(request.picture);
        const int64_t width = picture.shape()[0], height = picture.shape()[1];
        if (width % sd_->get_vae_scale_factor() != 0 || height % sd_->get_vae_scale_factor() != 0) {
            throw BadSettings("a picture's edges must be multiples of " + std::to_string(sd_->get_vae_scale_factor()));
        }
        if (!request.mask.empty()) {
            picture = covered(picture, mask_tensor(request.mask, static_cast<int>(width), static_cast<int>(height)));
        }
        run.begin_phase(SDPY_PHASE_ENCODE, 1, 1);
        sd_->vae_tiling_params = tiling(request.tile_size);
        sd_->first_stage_model->set_circular_axes(false, false);
        const sd::Tensor<float> moments =
            sd_->first_stage_model->encode(thread_count_, picture, sd_->vae_tiling_params, false, false);
        if (moments.empty()) {
            const std::string reason = run.last_error();
            throw GenerationFailed(reason.empty() ? "the VAE could not encode the picture" : reason);
        }
        check_finite("VAE", moments);
        run.end_phase();
        return to_array("moments", moments, SDPY_FLOAT32);
    }

    Array denoise(const DenoiseRequest &request, Run &run) override {
        Phase phase(*this, SDPY_DIFFUSION_MODEL, run);
        sd_->n_threads = thread_count_;
        const sdpy_settings &settings = request.settings;
        sd_img_gen_params_t params = engine_params(settings, request.sigmas.empty());
        const bool guided = !request.negative.empty();
        GenerationRequest engine_request(&context_, &params);
        if (engine_request.width != settings.width || engine_request.height != settings.height) {
            throw BadSettings("width and height must be multiples of " +
                              std::to_string(sd_->get_vae_scale_factor() * sd_->get_diffusion_model_down_factor()));
        }
        if (request.sigmas.empty()) {
            check_scheduler(params.sample_params.scheduler, sd_->version);
        }
        sd_->set_flow_shift(params.sample_params.flow_shift);
        SamplePlan plan(&context_, &params, engine_request);
        if (!request.sigmas.empty()) {
            plan.sigmas = request.sigmas;
        } else if (!request.start.empty()) {
            cut_schedule(plan.sigmas, settings.strength);
        }
        run.begin_phase(SDPY_PHASE_DENOISE, static_cast<int>(plan.sigmas.size()) - 1,
                        graphs_per_step(params.sample_params.sample_method, guided));
        SDCondition text = to_condition(request.text), negative = to_condition(request.negative);
        if (run.measuring()) {
            complete(*sd_, text);
        }
        check_condition(*sd_, text);
        if (guided) {
            check_condition(*sd_, negative);
        }
        if (!prediction_known_ && !run.measuring()) {
            decide_prediction(*sd_);
            prediction_known_ = true;
        }
        DenoiserInputs inputs = inputs_of(*sd_, request, text, negative);
        sd_->rng->manual_seed(settings.seed);
        sd_->sampler_rng->manual_seed(settings.seed);
        sd::Tensor<float> noise = noise_for(request, inputs.latent);
        sd::Tensor<float> latent = sd_->sample(
            sd_->diffusion_model, true, inputs.latent, std::move(noise), text, negative, SDCondition(), SDCondition(),
            sd::Tensor<float>(), 0.f, engine_request.guidance, plan.eta, engine_request.shifted_timestep,
            plan.sample_method, sd_->is_flow_denoiser(), plan.sigmas, plan.start_merge_step, inputs.references, false,
            inputs.mask, sd::Tensor<float>(), 1.f, engine_request.cache_params);
        if (latent.empty()) {
            const std::string reason = run.last_error();
            throw GenerationFailed(reason.empty() ? "the denoiser gave no result" : reason);
        }
        check_finite("denoiser", latent);
        warn_of_unused(SDPY_DIFFUSION_MODEL, run);
        run.end_phase();
        return to_array("latent", latent, SDPY_FLOAT32);
    }

    Array decode(const DecodeRequest &request, Run &run) override {
        Phase phase(*this, SDPY_VAE, run);
        sd_->n_threads = thread_count_;
        run.begin_phase(SDPY_PHASE_DECODE, 1, 1);
        sd_->vae_tiling_params = tiling(request.tile_size);
        sd_->first_stage_model->set_circular_axes(false, false);
        const sd::Tensor<float> pixels = sd_->decode_first_stage(to_tensor<float>(request.latent, 4));
        if (pixels.empty()) {
            const std::string reason = run.last_error();
            throw GenerationFailed(reason.empty() ? "the VAE gave no result" : reason);
        }
        check_finite("VAE", pixels);
        Array picture = to_picture(pixels);
        run.end_phase();
        return picture;
    }

   private:
    // What holds during a phase. However it ends, its compute buffers are freed: the engine frees them itself only after
    // success.
    class Phase {
       public:
        Phase(EnginePipeline &pipeline, sdpy_part part, Run &run)
            : pipeline_(pipeline),
              part_(*pipeline.parts_[part]),
              kernels_(runs_on_cpu(pipeline.backend_of(part)), pipeline.thread_count_),
              rules_(runs_on_cpu(pipeline.backend_of(part)) ? GpuRules{} : pipeline.rules_[part]),
              scope_(run, part_) {
            if (run.measuring()) {
                placeholders_ = std::make_unique<PartWeights::Placeholders>(part_);
            } else if (!part_.present()) {
                throw GenerationFailed("the weights of this phase are not in memory");
            }
        }
        ~Phase() {
            part_.rest();
            free_compute_buffers(*pipeline_.sd_->cond_stage_model);
            pipeline_.sd_->diffusion_model->free_compute_buffer();
            pipeline_.sd_->first_stage_model->free_compute_buffer();
        }

       private:
        EnginePipeline &pipeline_;
        PartWeights &part_;
        Kernels kernels_;
        GpuRules::Scope rules_;
        Run::PartScope scope_;
        std::unique_ptr<PartWeights::Placeholders> placeholders_;
    };

    ggml_backend_t backend_of(sdpy_part part) const {
        return part == SDPY_TEXT_ENCODER ? sd_->clip_backend : part == SDPY_VAE ? sd_->vae_backend : sd_->backend;
    }

    void set_adapters() {
        sd_->cond_stage_model->set_weight_adapter(loras_[SDPY_TEXT_ENCODER]);
        sd_->diffusion_model->set_weight_adapter(loras_[SDPY_DIFFUSION_MODEL]);
        sd_->first_stage_model->set_weight_adapter(loras_[SDPY_VAE]);
    }

    // The engine computes some layers without asking for additions.
    void warn_of_unused(sdpy_part part, Run &run) const {
        const size_t unused = loras_[part] == nullptr ? 0 : loras_[part]->unused();
        if (unused > 0) {
            run.log(SDPY_LOG_WARNING, std::to_string(unused) + " layers of the LoRAs are not read for this picture");
        }
    }

    // Gives each part its own share of what is to be loaded.
    void divide(const LoadPlan &plan) {
        EachPart<std::map<std::string, ggml_tensor *>> tensors;
        sd_->cond_stage_model->get_param_tensors(tensors[SDPY_TEXT_ENCODER]);
        sd_->diffusion_model->get_param_tensors(tensors[SDPY_DIFFUSION_MODEL]);
        sd_->first_stage_model->get_param_tensors(tensors[SDPY_VAE], "");
        layers_ = layers_of(tensors);
        for (int part = 0; part < SDPY_PART_COUNT; ++part) {
            std::set<const ggml_tensor *> own;
            for (const auto &[name, tensor] : tensors[part]) {
                own.insert(tensor);
            }
            std::vector<PlannedWeight> weights;
            std::copy_if(plan.weights.begin(), plan.weights.end(), std::back_inserter(weights),
                         [&](const PlannedWeight &weight) { return own.count(weight.tensor) != 0; });
            const WeightPlace place{backend_of(static_cast<sdpy_part>(part)), rules_[part].imported_weights};
            parts_[part] = std::make_unique<PartWeights>(place, std::move(weights));
        }
        if (!shows_its_uses(*sd_->cond_stage_model)) {
            parts_[SDPY_TEXT_ENCODER]->use_all();
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
    const int thread_count_;  // of all jobs
    const EachPart<GpuRules> rules_;
    bool prediction_known_ = true, reads_pictures_ = false;
    sd_ctx_t context_;
    ModelLayers layers_;
    EachPart<std::shared_ptr<LoraLayers>> loras_;  // after sd_: gone before its backends
    std::unique_ptr<CpuThreads> pool_;
    // After sd_: they take the memory from its tensors before these are gone.
    EachPart<std::unique_ptr<PartWeights>> parts_;
};

}  // namespace

std::unique_ptr<Pipeline> Pipeline::open(const OpenRequest &request, Run &run) {
    return std::make_unique<EnginePipeline>(request, run);
}

std::string Pipeline::detect(const ModelPaths &files) {
    const SDVersion version = version_of(files);
    return version == VERSION_COUNT ? "" : model_version_to_str[version];
}

void Pipeline::set_attention_room(uint64_t bytes) { attention_room() = bytes; }

sdpy_measurement Pipeline::measure(Run &run, const std::function<void()> &phase) {
    Run::Measuring measuring(run);
    try {
        phase();
    } catch (const Measured &measured) {
        sdpy_measurement result{measured.working_bytes, measured.tokens, ""};
        copy_text(result.unsupported, sizeof result.unsupported, measured.unsupported);
        return result;
    }
    throw GenerationFailed("the phase has no graph that could be measured");
}

}  // namespace sdpy
