// The functions of base/sdpy.h: requests copied in, exceptions turned into statuses, results handed out.
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include "abi/handles.h"
#include "base/errors.h"
#include "base/forks.h"
#include "base/sdpy_parts.h"
#include "base/status.h"
#include "devices/device_memory.h"
#include "devices/devices.h"
#include "devices/submission_pacing.h"
#include "ggml.h"
#include "jobs/fault_injection.h"
#include "jobs/kept_steps.h"
#include "jobs/worker.h"
#include "kernels/levels.h"
#include "pipeline/pipeline.h"
#include "weights/common_memory.h"

using sdpy::Arrays;
using sdpy::guarded;

struct sdpy_engine {
    explicit sdpy_engine(const std::vector<int> &cpus) : worker(cpus) {}

    // In this order: the worker's thread must have ended before what its jobs use is destroyed.
    std::unique_ptr<sdpy::Pipeline> pipeline;
    Arrays results;
    sdpy_measurement measured{};
    std::unique_ptr<sdpy::KeptSteps> kept_steps;
    sdpy::Run::DueFault due_fault;
    sdpy::Worker worker;

    sdpy::Pipeline &loaded() {
        if (!pipeline) {
            throw sdpy::GenerationFailed("no model is loaded");
        }
        return *pipeline;
    }

    const sdpy::Array &result(int index) const {
        if (index < 0 || static_cast<size_t>(index) >= results.size()) {
            throw sdpy::BadSettings("the last job gave no result number " + std::to_string(index));
        }
        return results[static_cast<size_t>(index)];
    }

    // Does a phase, or only measures it.
    void run_phase(bool measure, sdpy::Run &run, const std::function<Arrays()> &phase) {
        results.clear();
        if (measure) {
            measured = sdpy::Pipeline::measure(run, phase);
        } else {
            results = phase();
        }
    }
};

struct sdpy_weights {
    sdpy::WeightBatches batches;
};

namespace {

Arrays copy_all(const sdpy_array *arrays, int count) {
    Arrays copies;
    for (int i = 0; i < count; ++i) {
        copies.push_back(sdpy::Array::copy_of(arrays[i]));
    }
    return copies;
}

sdpy_part part_of(int number) {
    if (number < 0 || number >= SDPY_PART_COUNT) {
        throw sdpy::BadSettings("a model has no part number " + std::to_string(number));
    }
    return static_cast<sdpy_part>(number);
}

std::string text_of(const char *text) { return text == nullptr ? "" : text; }

sdpy::ModelPaths paths_of(const char *const *files) {
    sdpy::ModelPaths paths;
    std::transform(files, files + SDPY_FILE_COUNT, paths.begin(), text_of);
    return paths;
}

// One or none.
Arrays copy_if_any(const sdpy_array *array) { return copy_all(array, array == nullptr ? 0 : 1); }

// Names that fill their whole place have no end.
sdpy_settings terminated(sdpy_settings settings) {
    settings.sampler[sizeof settings.sampler - 1] = settings.scheduler[sizeof settings.scheduler - 1] = '\0';
    return settings;
}

// Never destroyed: threads that nobody waits for name engines until the process is gone.
sdpy::Handles<sdpy_engine> &engines() {
    static auto *handles = [] {
        sdpy::after_fork([] { engines().disown(); });
        return new sdpy::Handles<sdpy_engine>("engine");
    }();
    return *handles;
}
sdpy::Handles<sdpy_weights> &kept_weights() {
    static auto *handles = [] {
        sdpy::after_fork([] { kept_weights().disown(); });
        return new sdpy::Handles<sdpy_weights>("set of weights");
    }();
    return *handles;
}

// Starts the job that `make` makes for the engine. The job may outlive this call, so it must own everything that it uses but
// the engine, whose thread it runs on.
template <typename Make>
int begin(sdpy_engine *handle, sdpy_failure *failure, Make &&make) {
    return guarded(failure, [&] {
        const auto engine = engines().get(handle);
        engine->worker.start(make(engine.get()));
    });
}

// Ends the engine's thread. Other threads may still be in calls; the last of them destroys the engine.
void shut_down(std::shared_ptr<sdpy_engine> engine) {
    switch (engine->worker.stop()) {
        case sdpy::Worker::Remains::threads:
            // Threads are asleep in the middle of a graph, with pointers into all of it.
            static_cast<void>(new std::shared_ptr<sdpy_engine>(std::move(engine)));
            return;
        case sdpy::Worker::Remains::lost:
            if (engine->pipeline) {
                engine->pipeline->abandon_devices();
            }
            static_cast<void>(engine->pipeline.release());  // freeing asks the lost device once more, and throws
            break;
        case sdpy::Worker::Remains::spoiled:
            if (engine->pipeline) {
                engine->pipeline->abandon_backend();
            }
            break;
        case sdpy::Worker::Remains::clean:
            break;
    }
}

}  // namespace

extern "C" {

int sdpy_start(const char *module_dir, const char *cpu_module, sdpy_failure *failure) {
    return guarded(failure, [&] {
        sdpy::install_failed_check_handler();
        sdpy::load_backend_modules(module_dir, cpu_module);
    });
}

int sdpy_choose_kernels(const char *name, sdpy_failure *failure) {
    return guarded(failure, [&] { sdpy::choose_kernels(name); });
}
const char *sdpy_kernels(void) { return sdpy::kernels_in_use(); }

int sdpy_device_count(void) { return sdpy::device_count(); }

int sdpy_device_at(int index, sdpy_device *device, sdpy_failure *failure) {
    return guarded(failure, [&] { sdpy::describe_device(index, device); });
}

const char *sdpy_cpu_module(void) { return sdpy::cpu_module(); }
const char *sdpy_cpu_features(void) { return sdpy::cpu_features(); }
const char *sdpy_engine_commit(void) { return SDPY_ENGINE_COMMIT; }
const char *sdpy_ggml_version(void) { return ggml_version(); }

sdpy_engine *sdpy_engine_new(const int *cpus, int cpu_count, sdpy_failure *failure) {
    sdpy_engine *engine = nullptr;
    guarded(failure,
            [&] { engine = engines().add(std::make_shared<sdpy_engine>(std::vector<int>(cpus, cpus + cpu_count))); });
    return engine;
}

int sdpy_keep_steps_in(sdpy_engine *handle, int file, sdpy_failure *failure) {
    return guarded(failure, [&] { engines().get(handle)->kept_steps = std::make_unique<sdpy::KeptSteps>(file); });
}

void sdpy_engine_free(sdpy_engine *engine) {
    guarded(nullptr, [&] {
        if (auto taken = engines().take(engine)) {
            shut_down(std::move(taken));
        }
    });
}

void sdpy_end(void) {
    guarded(nullptr, [] {
        for (auto &engine : engines().end()) {
            shut_down(std::move(engine));
        }
        kept_weights().end();
    });
}

int sdpy_begin_open(sdpy_engine *handle, const sdpy_open_request *request, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        sdpy::OpenRequest copy;
        copy.files = paths_of(request->files);
        std::transform(request->devices, request->devices + SDPY_PART_COUNT, copy.devices.begin(), text_of);
        copy.threads = request->threads;
        for (int part = 0; part < SDPY_PART_COUNT; ++part) {
            copy.rules[part] = {request->direct_convolutions[part] != 0, request->float32_sums[part] != 0,
                                request->imported_weights[part] != 0};
            sdpy::promise_pace(copy.devices[part], sdpy::costs_of(request->paces[part]));
        }
        return [engine, copy](sdpy::Run &run) {
            engine->results.clear();
            engine->pipeline.reset();
            engine->pipeline = sdpy::Pipeline::open(copy, run);
        };
    });
}

int sdpy_begin_move(sdpy_engine *handle, const sdpy_move_request *request, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        sdpy::MoveRequest copy;
        std::transform(request->movements, request->movements + SDPY_PART_COUNT, copy.movements.begin(),
                       [](int movement) { return static_cast<sdpy_movement>(movement); });
        std::copy(request->rooms, request->rooms + SDPY_PART_COUNT, copy.rooms.begin());
        return [engine, copy](sdpy::Run &run) {
            engine->results.clear();
            engine->loaded().move(copy, run);
        };
    });
}

int sdpy_begin_encode(sdpy_engine *handle, const sdpy_encode_request *request, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        sdpy::EncodeRequest copy{text_of(request->prompt), request->max_tokens, terminated(request->settings)};
        return [engine, copy, measure = request->measure != 0](sdpy::Run &run) {
            engine->run_phase(measure, run, [&] { return engine->loaded().encode(copy, run); });
        };
    });
}

int sdpy_begin_encode_picture(sdpy_engine *handle, const sdpy_encode_picture_request *request, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        sdpy::EncodePictureRequest copy{sdpy::Array::copy_of(*request->picture), copy_if_any(request->mask),
                                        request->tile_size};
        return [engine, copy = std::move(copy), measure = request->measure != 0](sdpy::Run &run) {
            engine->run_phase(measure, run, [&] { return Arrays{engine->loaded().encode_picture(copy, run)}; });
        };
    });
}

int sdpy_begin_denoise(sdpy_engine *handle, const sdpy_denoise_request *request, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        sdpy::DenoiseRequest copy;
        copy.text = copy_all(request->text, request->text_count);
        copy.negative = copy_all(request->negative, request->negative_count);
        copy.noise = copy_if_any(request->noise);
        copy.start = copy_if_any(request->start);
        copy.around = copy_if_any(request->around);
        copy.references = copy_all(request->references, request->reference_count);
        copy.mask = copy_if_any(request->mask);
        copy.settings = terminated(request->settings);
        copy.sigmas.assign(request->sigmas, request->sigmas + request->sigma_count);
        return [engine, copy = std::move(copy), keep = request->keep_steps != 0,
                measure = request->measure != 0](sdpy::Run &run) {
            if (keep && !measure) {
                run.keep_steps(engine->kept_steps.get());
            }
            if (!measure) {
                run.due_fault = std::exchange(engine->due_fault, {});
            }
            engine->run_phase(measure, run, [&] { return Arrays{engine->loaded().denoise(copy, run)}; });
        };
    });
}

int sdpy_begin_decode(sdpy_engine *handle, const sdpy_decode_request *request, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        sdpy::DecodeRequest copy{sdpy::Array::copy_of(*request->latent), request->tile_size};
        return [engine, copy = std::move(copy), measure = request->measure != 0](sdpy::Run &run) {
            engine->run_phase(measure, run, [&] { return Arrays{engine->loaded().decode(copy, run)}; });
        };
    });
}

int sdpy_begin_find_layers(sdpy_engine *handle, const char *names, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        std::vector<std::string> lines;
        std::istringstream text(text_of(names));
        for (std::string line; std::getline(text, line);) {
            lines.push_back(line);
        }
        return [engine, lines = std::move(lines)](sdpy::Run &) {
            engine->results.clear();
            engine->results.push_back(engine->loaded().find_layers(lines));
        };
    });
}

int sdpy_begin_adapt(sdpy_engine *handle, const sdpy_lora_layer *layers, int count, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        // Shared, as jobs are copied.
        const auto copy = std::make_shared<std::vector<sdpy::LoraLayer>>();
        for (const sdpy_lora_layer *layer = layers; layer != layers + count; ++layer) {
            copy->push_back(
                {text_of(layer->layer), sdpy::Array::copy_of(*layer->down), sdpy::Array::copy_of(*layer->up)});
        }
        return [engine, copy](sdpy::Run &) {
            engine->results.clear();
            engine->loaded().adapt(*copy);
        };
    });
}

int sdpy_begin_fault(sdpy_engine *handle, int fault, int after_steps, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        return [engine, fault, after_steps](sdpy::Run &run) {
            if (after_steps > 0) {
                engine->due_fault = {fault, after_steps};
            } else {
                sdpy::cause_fault(static_cast<sdpy_fault>(fault), run);
            }
        };
    });
}

int sdpy_wait(sdpy_engine *handle, int timeout_ms, sdpy_event *event, sdpy_failure *failure) {
    event->kind = SDPY_EVENT_NONE;
    std::shared_ptr<sdpy_engine> engine;
    if (guarded(failure, [&] { engine = engines().get(handle); }) != SDPY_OK) {
        event->kind = SDPY_EVENT_DONE;
    } else {
        engine->worker.wait(timeout_ms, event, failure);  // `failure` tells of the job
    }
    return event->kind;
}

void sdpy_cancel(sdpy_engine *handle) {
    if (const auto engine = engines().find(handle)) {
        engine->worker.cancel();
    }
}

int sdpy_engine_spent(sdpy_engine *handle) {
    const auto engine = engines().find(handle);
    return engine == nullptr || engine->worker.spent() ? 1 : 0;
}

int sdpy_result_count(sdpy_engine *handle, int *count, sdpy_failure *failure) {
    return guarded(failure, [&] { *count = static_cast<int>(engines().get(handle)->results.size()); });
}

int sdpy_result_at(sdpy_engine *handle, int index, sdpy_array *array, sdpy_failure *failure) {
    return guarded(failure, [&] {
        const auto engine = engines().get(handle);
        const sdpy::Array &result = engine->result(index);
        *array = {};
        sdpy::copy_text(array->name, sizeof array->name, result.name);
        array->dtype = result.dtype;
        array->ndim = static_cast<int>(result.shape.size());
        for (size_t i = 0; i < result.shape.size() && i < 5; ++i) {
            array->shape[i] = result.shape[i];
        }
    });
}

int sdpy_result_read(sdpy_engine *handle, int index, void *bytes, uint64_t size, sdpy_failure *failure) {
    return guarded(failure, [&] {
        const auto engine = engines().get(handle);
        const sdpy::Array &result = engine->result(index);
        if (result.bytes.size() != size) {
            throw sdpy::BadSettings("the result has " + std::to_string(result.bytes.size()) + " bytes");
        }
        std::memcpy(bytes, result.bytes.data(), size);
    });
}

int sdpy_measured(sdpy_engine *handle, sdpy_measurement *measurement, sdpy_failure *failure) {
    return guarded(failure, [&] { *measurement = engines().get(handle)->measured; });
}

int sdpy_part_info_get(sdpy_engine *handle, int part, sdpy_part_info *info, sdpy_failure *failure) {
    return guarded(failure, [&] { *info = engines().get(handle)->loaded().part_info(part_of(part)); });
}

sdpy_weights *sdpy_weights_new(sdpy_failure *failure) {
    sdpy_weights *weights = nullptr;
    guarded(failure, [&] { weights = kept_weights().add(std::make_shared<sdpy_weights>()); });
    return weights;
}

int sdpy_weights_keep(sdpy_weights *weights, sdpy_engine *handle, int part, sdpy_failure *failure) {
    return guarded(failure, [&] {
        const auto kept = kept_weights().get(weights);
        for (auto &batch : engines().get(handle)->loaded().weights(part_of(part))) {
            if (std::find(kept->batches.begin(), kept->batches.end(), batch) == kept->batches.end()) {
                kept->batches.push_back(std::move(batch));
            }
        }
    });
}

void sdpy_weights_free(sdpy_weights *weights) {
    guarded(nullptr, [&] { kept_weights().take(weights); });
}

int sdpy_use_common_memory(int file, sdpy_failure *failure) {
    return guarded(failure, [&] { sdpy::CommonMemory::use(file); });
}

int sdpy_free_abandoned_memory(int file, sdpy_failure *failure) {
    return guarded(failure, [&] { sdpy::CommonMemory::free_abandoned(file); });
}

int sdpy_device_usage_get(const char *device, int reset, sdpy_device_usage *usage, sdpy_failure *failure) {
    return guarded(failure, [&] {
        const sdpy::DeviceMemory memory = sdpy::device_memory(device, reset != 0);
        *usage = {memory.now, memory.most, sdpy::longest_submission(device, reset != 0)};
    });
}

int sdpy_detect(const char *const *files, char *name, int capacity, sdpy_failure *failure) {
    return guarded(failure, [&] {
        sdpy::copy_text(name, static_cast<size_t>(capacity), sdpy::Pipeline::detect(paths_of(files)));
    });
}

void sdpy_set_submission_target(int milliseconds) { sdpy::set_submission_target(milliseconds); }
void sdpy_set_attention_room(uint64_t bytes) { sdpy::Pipeline::set_attention_room(bytes); }
}
