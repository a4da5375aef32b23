// The functions of base/sdpy.h that begin jobs: requests are copied in.
#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include "abi/engine_handles.h"
#include "devices/submission_pacing.h"
#include "jobs/fault_injection.h"

using sdpy::Arrays;
using sdpy::engines;
using sdpy::guarded;
using sdpy::paths_of;
using sdpy::text_of;

namespace {

Arrays copy_all(const sdpy_array *arrays, int count) {
    Arrays copies;
    for (int i = 0; i < count; ++i) {
        copies.push_back(sdpy::Array::copy_of(arrays[i]));
    }
    return copies;
}

// One or none.
Arrays copy_if_any(const sdpy_array *array) { return copy_all(array, array == nullptr ? 0 : 1); }

// Names that fill their whole place have no end.
sdpy_settings terminated(sdpy_settings settings) {
    settings.sampler[sizeof settings.sampler - 1] = settings.scheduler[sizeof settings.scheduler - 1] = '\0';
    return settings;
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

}  // namespace

extern "C" {

int sdpy_begin_open(sdpy_engine *handle, const sdpy_open_request *request, sdpy_failure *failure) {
    return begin(handle, failure, [&](sdpy_engine *engine) {
        sdpy::OpenRequest copy;
        copy.files = paths_of(request->files);
        copy.arrangements = paths_of(request->arrangements);
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

}  // extern "C"
