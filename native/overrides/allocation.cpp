// Allocating for the engine: weights that do not come yet, compute buffers that are counted or only measured, and memory
// that runs out as an exception.
#include <map>
#include <mutex>
#include <string>

#include "base/errors.h"
#include "base/forks.h"
#include "devices/device_memory.h"
#include "devices/unsupported.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "jobs/run.h"
#include "weights/load_plan.h"
#include "weights/part_weights.h"

namespace {

using sdpy::OutOfMemory;
using sdpy::Run;

std::string megabytes(size_t bytes) { return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB"; }

bool unallocated(ggml_context *context) {
    for (ggml_tensor *tensor = ggml_get_first_tensor(context); tensor != nullptr;
         tensor = ggml_get_next_tensor(context, tensor)) {
        if (tensor->data == nullptr && tensor->view_src == nullptr) {
            return true;
        }
    }
    return false;
}

struct WorkingBuffers {
    std::mutex mutex;  // closes the race of engines that begin and end phases at the same time
    sdpy::ForkedMutex forked{mutex};
    std::map<ggml_gallocr_t, sdpy::CountedBytes> counted;
};

WorkingBuffers &working_buffers() {
    static auto *buffers = new WorkingBuffers;  // never destroyed: parked threads outlive static destructors
    return *buffers;
}

void count(ggml_gallocr_t allocator, const Run *run) {
    if (run != nullptr && run->part() != nullptr) {
        std::lock_guard<std::mutex> lock(working_buffers().mutex);
        sdpy::CountedBytes &counted = working_buffers().counted[allocator];
        counted = {};  // not old and new at once
        counted = sdpy::CountedBytes(run->part()->device(), ggml_gallocr_get_buffer_size(allocator, 0));
    }
}

}  // namespace

ggml_backend_buffer_t sdpy_alloc_ctx_tensors(ggml_context *context, ggml_backend_t backend) {
    if (sdpy::LoadPlan::current() != nullptr) {
        // Of no size, so that the engine takes the allocation for done.
        return ggml_backend_buft_alloc_buffer(ggml_backend_get_default_buffer_type(backend), 0);
    }
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    if (buffer == nullptr && unallocated(context)) {
        const size_t size =
            ggml_backend_alloc_ctx_tensors_from_buft_size(context, ggml_backend_get_default_buffer_type(backend));
        throw OutOfMemory("no room for " + megabytes(size) + " on " + ggml_backend_name(backend));
    }
    return buffer;
}

bool sdpy_gallocr_reserve(ggml_gallocr_t allocator, ggml_cgraph *graph) {
    const Run *run = Run::current();
    sdpy::PartWeights *part = run == nullptr ? nullptr : run->part();
    if (part != nullptr && run->measuring()) {
        part->note_uses(graph);
        size_t size = 0;
        ggml_gallocr_reserve_n_size(allocator, graph, nullptr, nullptr, &size);
        throw sdpy::Measured{size, 0, sdpy::unsupported_in(graph, part->device())};
    }
    if (part != nullptr) {
        part->check_present(graph);
    }
    if (!ggml_gallocr_reserve(allocator, graph)) {
        throw OutOfMemory("no room for the compute buffer of a graph");
    }
    count(allocator, run);
    return true;
}

bool sdpy_gallocr_alloc_graph(ggml_gallocr_t allocator, ggml_cgraph *graph) {
    const Run *run = Run::current();
    if (run != nullptr && run->part() != nullptr) {
        run->part()->check_present(graph);
    }
    if (!ggml_gallocr_alloc_graph(allocator, graph)) {
        throw OutOfMemory("no room for the compute buffer of a graph");
    }
    count(allocator, run);
    return true;
}

void sdpy_gallocr_free(ggml_gallocr_t allocator) {
    {  // before another engine's allocator can have the same address
        std::lock_guard<std::mutex> lock(working_buffers().mutex);
        working_buffers().counted.erase(allocator);
    }
    ggml_gallocr_free(allocator);
}
