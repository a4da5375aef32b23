// Computing the engine's graphs, in slices: between two, the job can be cancelled, progress is reported, weights are fetched,
// and a GPU's submission ends.
#include <chrono>
#include <vector>

#include "base/errors.h"
#include "devices/devices.h"
#include "devices/submission_pacing.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "jobs/run.h"
#include "overrides/graph_slices.h"
#include "weights/block_stream.h"
#include "weights/part_weights.h"

namespace {

using sdpy::Run;

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
            throw sdpy::OutOfMemory("memory ran out while a graph was computed");
        case GGML_STATUS_ABORTED:
            throw sdpy::Cancelled();
        default:
            throw sdpy::GenerationFailed("the backend failed to compute a graph");
    }
}

void compute_slice(Run *run, ggml_backend_t backend, ggml_cgraph *graph, int from, int to) {
    const bool pool = sdpy::runs_on_cpu(backend);
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

// Nodes that are computed at once: of so much cost at most, and reading one block of streamed weights at most.
struct Slice {
    int to;
    double cost;
    int block;
};

Slice slice_from(int from, ggml_cgraph *graph, const std::vector<double> &costs, double most,
                 const sdpy::WeightStream *stream) {
    Slice slice{from, 0, -1};
    const int nodes = static_cast<int>(costs.size());
    while (slice.to < nodes && (slice.to == from || slice.cost + costs[slice.to] <= most)) {
        const int block = stream == nullptr ? -1 : stream->block_read_by(ggml_graph_node(graph, slice.to));
        if (block >= 0 && slice.block >= 0 && block != slice.block) {
            break;
        }
        slice.block = block >= 0 ? block : slice.block;
        slice.cost += costs[slice.to++];
    }
    return slice;
}

}  // namespace

ggml_status sdpy_graph_compute(ggml_backend_t backend, ggml_cgraph *graph) {
    Run *run = Run::current();
    const int nodes = ggml_graph_n_nodes(graph);
    if (run == nullptr) {
        return sdpy::compute_nodes(backend, graph, 0, nodes);
    }
    std::vector<double> costs(nodes);
    double total = 0;
    for (int i = 0; i < nodes; ++i) {
        total += costs[i] = sdpy::node_cost(ggml_graph_node(graph, i));
    }
    sdpy::WeightStream *stream = run->part() == nullptr ? nullptr : run->part()->streamed();
    sdpy::Pace pace = sdpy::Pace::of(backend);
    double done = 0;
    for (int from = 0; from < nodes;) {
        run->check_cancelled();
        const Slice slice = slice_from(from, graph, costs, pace.slice_cost(), stream);
        if (slice.block >= 0) {
            stream->fetch(slice.block);
        }
        const auto begin = std::chrono::steady_clock::now();
        compute_slice(run, backend, graph, from, slice.to);
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
        pace.computed(slice.cost, time.count(), slice.to - from);
        done += slice.cost;
        from = slice.to;
        if (from < nodes) {
            run->graph_progress(total > 0 ? done / total : 1);
        }
    }
    run->check_cancelled();
    run->graph_done();
    return GGML_STATUS_SUCCESS;
}
