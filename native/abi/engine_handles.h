// What callers name by sdpy_engine, and the texts that they hand over.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "abi/handles.h"
#include "base/errors.h"
#include "base/sdpy.h"
#include "base/status.h"
#include "jobs/kept_steps.h"
#include "jobs/worker.h"
#include "pipeline/pipeline.h"

struct sdpy_engine {
    explicit sdpy_engine(const std::vector<int> &cpus) : worker(cpus) {}

    // In this order: the worker's thread must have ended before what its jobs use is destroyed.
    std::unique_ptr<sdpy::Pipeline> pipeline;
    sdpy::Arrays results;
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
    void run_phase(bool measure, sdpy::Run &run, const std::function<sdpy::Arrays()> &phase) {
        results.clear();
        if (measure) {
            measured = sdpy::Pipeline::measure(run, phase);
        } else {
            results = phase();
        }
    }
};

namespace sdpy {

Handles<sdpy_engine> &engines();

inline std::string text_of(const char *text) { return text == nullptr ? "" : text; }

inline ModelPaths paths_of(const char *const *files) {
    ModelPaths paths;
    std::transform(files, files + SDPY_FILE_COUNT, paths.begin(), text_of);
    return paths;
}

}  // namespace sdpy
