// Our side of the names that seams.h re-points.
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "errors.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "run.h"
#include "slices.h"
#include "stable-diffusion.h"

namespace {

using sdpy::OutOfMemory;
using sdpy::Run;

// A slice of this cost takes some tens of milliseconds on two CPU cores or on a small GPU: short enough to be cancelled
// between, long enough that starting it does not count. One node can be costlier, and is then a slice of its own.
constexpr double slice_cost = 4e9;

std::string megabytes(size_t bytes) { return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB"; }

bool runs_on_cpu(ggml_backend_t backend) {
    ggml_backend_dev_t device = ggml_backend_get_device(backend);
    return device == nullptr || ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
}

class GraphGuard {
   public:
    GraphGuard(Run *run, bool pool) : run_(run) { run_->enter_graph(pool); }
    ~GraphGuard() { run_->leave_graph(); }

   private:
    Run *run_;
};

void check_status(ggml_status status) {
    switch (status) {
        case GGML_STATUS_SUCCESS:
            return;
        case GGML_STATUS_ALLOC_FAILED:
            throw OutOfMemory("memory ran out while a graph was computed");
        case GGML_STATUS_ABORTED:
            throw sdpy::Cancelled();
        default:
            throw sdpy::GenerationFailed("the backend failed to compute a graph");
    }
}

void compute_slice(Run *run, ggml_backend_t backend, ggml_cgraph *graph, int from, int to) {
    const bool pool = runs_on_cpu(backend);
    GraphGuard guard(run, pool);
    try {
        check_status(sdpy::compute_nodes(backend, graph, from, to));
    } catch (...) {
        run->spoil();
        if (!pool) {
            try {  // the caller frees the buffers that the GPU may still be working on
                ggml_backend_synchronize(backend);
            } catch (...) {
            }
        }
        throw;
    }
}

bool unallocated(ggml_context *context) {
    for (ggml_tensor *tensor = ggml_get_first_tensor(context); tensor != nullptr;
         tensor = ggml_get_next_tensor(context, tensor)) {
        if (tensor->data == nullptr && tensor->view_src == nullptr) {
            return true;
        }
    }
    return false;
}

}  // namespace

ggml_status sdpy_graph_compute(ggml_backend_t backend, ggml_cgraph *graph) {
    Run *run = Run::current();
    const int nodes = ggml_graph_n_nodes(graph);
    if (run == nullptr) {
        return sdpy::compute_nodes(backend, graph, 0, nodes);
    }
    std::vector<double> cost(nodes);
    double total = 0;
    for (int i = 0; i < nodes; ++i) {
        total += cost[i] = sdpy::node_cost(ggml_graph_node(graph, i));
    }
    double done = 0;
    for (int from = 0; from < nodes;) {
        double slice = cost[from];
        int to = from + 1;
        while (to < nodes && slice + cost[to] <= slice_cost) {
            slice += cost[to++];
        }
        run->check_cancelled();
        compute_slice(run, backend, graph, from, to);
        done += slice;
        from = to;
        if (from < nodes) {
            run->graph_progress(total > 0 ? done / total : 1);
        }
    }
    run->check_cancelled();
    run->graph_done();
    return GGML_STATUS_SUCCESS;
}

ggml_backend_buffer_t sdpy_alloc_ctx_tensors(ggml_context *context, ggml_backend_t backend) {
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    if (buffer == nullptr && unallocated(context)) {
        const size_t size =
            ggml_backend_alloc_ctx_tensors_from_buft_size(context, ggml_backend_get_default_buffer_type(backend));
        throw OutOfMemory("no room for " + megabytes(size) + " of weights on " + ggml_backend_name(backend));
    }
    return buffer;
}

bool sdpy_gallocr_reserve(ggml_gallocr_t allocator, ggml_cgraph *graph) {
    if (!ggml_gallocr_reserve(allocator, graph)) {
        throw OutOfMemory("no room for the working buffer of a graph");
    }
    return true;
}

bool sdpy_gallocr_alloc_graph(ggml_gallocr_t allocator, ggml_cgraph *graph) {
    if (!ggml_gallocr_alloc_graph(allocator, graph)) {
        throw OutOfMemory("no room for the working buffer of a graph");
    }
    return true;
}

void sdpy_engine_log(sd_log_level_t level, const char *file, int line, const char *format, ...) {
    Run *run = Run::current();
    if (run == nullptr) {
        return;
    }
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *slash = std::strrchr(file, '/');
    run->log(static_cast<sdpy_log_level>(level),
             std::string(slash != nullptr ? slash + 1 : file) + ":" + std::to_string(line) + ": " + text);
}

void sdpy_engine_progress(int step, int steps, float) {
    if (Run *run = Run::current()) {
        run->step_done(step, steps);
    }
}
