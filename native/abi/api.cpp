// The functions of base/sdpy.h but for those that begin jobs (jobs.cpp): exceptions turned into statuses, results handed out.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "abi/engine_handles.h"
#include "base/errors.h"
#include "base/forks.h"
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

using sdpy::engines;
using sdpy::guarded;
using sdpy::paths_of;
using sdpy::text_of;

struct sdpy_weights {
    sdpy::WeightBatches batches;
};

// Never destroyed: threads that nobody waits for name engines until the process is gone.
sdpy::Handles<sdpy_engine> &sdpy::engines() {
    static auto *handles = [] {
        after_fork([] { engines().disown(); });
        return new Handles<sdpy_engine>("engine");
    }();
    return *handles;
}

namespace {

sdpy_part part_of(int number) {
    if (number < 0 || number >= SDPY_PART_COUNT) {
        throw sdpy::BadSettings("a model has no part number " + std::to_string(number));
    }
    return static_cast<sdpy_part>(number);
}

sdpy::Handles<sdpy_weights> &kept_weights() {
    static auto *handles = [] {
        sdpy::after_fork([] { kept_weights().disown(); });
        return new sdpy::Handles<sdpy_weights>("set of weights");
    }();
    return *handles;
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
