// Computing the engine's graphs, in slices: between two, the job can be cancelled, progress is reported, weights are fetched,
// and a GPU's submission ends.
#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "base/errors.h"
#include "base/numbers.h"
#include "devices/cpu_threads.h"
#include "devices/devices.h"
#include "devices/submission_pacing.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "jobs/run.h"
#include "kernels/graph.h"
#include "overrides/gpu_rules.h"
#include "overrides/graph_slices.h"
#include "overrides/node_faults.h"
#include "weights/block_stream.h"
#include "weights/part_weights.h"

namespace {

using sdpy::Costs;
using sdpy::Pace;
using sdpy::Run;
using sdpy::WorkKind;

class GraphGuard {
   public:
    GraphGuard(Run *run, bool pool) : run_(run) { run_->enter_graph(pool); }
    ~GraphGuard() { run_->leave_graph(); }

   private:
    Run *run_;
};

// Lets nodes on the CPU that take long end early where the job is cancelled. What they gave then is not used: the flag stays set.
class CancelGuard {
   public:
    CancelGuard(Run *run, ggml_backend_t backend, ggml_cgraph *graph) : backend_(backend) {
        for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
            sdpy::heed_cancelling(ggml_graph_node(graph, i), run->cancel_flag());
        }
        sdpy::heed_cancelling(backend, &run->cancel_flag());
    }
    ~CancelGuard() { sdpy::heed_cancelling(backend_, nullptr); }

   private:
    ggml_backend_t backend_;
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

// Computes nodes, or a piece of one.
template <typename Compute>
void compute_slice(Run *run, ggml_backend_t backend, Compute &&compute) {
    const bool pool = sdpy::runs_on_cpu(backend);
    GraphGuard guard(run, pool);
    try {
        check_status(compute());
    } catch (const sdpy::Cancelled &) {
        throw;  // by the backend itself, which is ready for the next graph
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

// Computes as much, and learns how long that takes. Returns what it cost.
template <typename Compute>
double compute_timed(Run *run, ggml_backend_t backend, Pace &pace, const Costs &costs, Compute &&compute) {
    const auto begin = std::chrono::steady_clock::now();
    compute_slice(run, backend, compute);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    pace.computed(costs, time.count());
    return std::accumulate(costs.begin(), costs.end(), 0.0);
}

struct NodeWork {
    WorkKind kind;
    double cost;
    int block;  // of streamed weights, which it reads; -1: none
};

// Nodes that are computed at once: of so much time at most, and reading one block of streamed weights at most.
struct Slice {
    int to;
    double seconds;
    Costs costs;
    int block;
};

Slice slice_from(int from, const std::vector<NodeWork> &work, const Pace &pace) {
    Slice slice{from, 0, {}, -1};
    const int nodes = static_cast<int>(work.size());
    for (; slice.to < nodes; ++slice.to) {
        const NodeWork &next = work[slice.to];
        const double seconds = pace.seconds(next.kind, next.cost);
        if (slice.to > from && slice.seconds + seconds > pace.most_seconds()) {
            break;
        }
        if (next.block >= 0 && slice.block >= 0 && next.block != slice.block) {
            break;
        }
        slice.block = next.block >= 0 ? next.block : slice.block;
        slice.seconds += seconds;
        slice.costs[static_cast<size_t>(next.kind)] += next.cost;
    }
    return slice;
}

// The blocks of streamed weights that a graph reads, one after the other.
class BlocksInTurn {
   public:
    BlocksInTurn(Run *run, const std::vector<NodeWork> &work)
        : blocks_(run->part() == nullptr || run->part()->streamed() == nullptr ? nullptr
                                                                               : run->part()->streamed()->blocks()) {
        if (blocks_ == nullptr) {
            return;
        }
        std::vector<int> order;
        for (size_t node = 0; node < work.size(); ++node) {
            if (work[node].block < 0) {
                continue;
            }
            if (order.empty() || order.back() != work[node].block) {
                order.push_back(work[node].block);
                ends_.push_back(0);
            }
            ends_.back() = static_cast<int>(node) + 1;
        }
        blocks_->begin(std::move(order), run);
    }

    // Before nodes are computed, of which the first is `from`.
    void fetch(const Slice &slice, int from) {
        if (slice.block < 0) {
            return;
        }
        while (ends_[turn_] <= from) {
            ++turn_;
        }
        blocks_->fetch(turn_);
    }

    // All nodes before this one are computed.
    void computed(int to) {
        if (turn_ < ends_.size() && ends_[turn_] <= to) {
            blocks_->release(turn_);
        }
    }

   private:
    sdpy::ReadAhead *blocks_;
    std::vector<int> ends_;  // of each turn, behind the last node that reads its block
    size_t turn_ = 0;
};

// A graph that is being computed.
class Computing {
   public:
    Computing(Run *run, ggml_backend_t backend, ggml_cgraph *graph)
        : run_(run), backend_(backend), graph_(graph), pace_(Pace::of(backend)), work_(ggml_graph_n_nodes(graph)) {
        const sdpy::WeightStream *stream = run->part() == nullptr ? nullptr : run->part()->streamed();
        for (size_t i = 0; i < work_.size(); ++i) {
            ggml_tensor *node = ggml_graph_node(graph, static_cast<int>(i));
            work_[i] = {sdpy::node_kind(node), sdpy::node_cost(node),
                        stream == nullptr ? -1 : stream->block_read_by(node)};
            total_ += work_[i].cost;
            if (pace_.of_gpu() && node->op == GGML_OP_MUL_MAT && sdpy::GpuRules::now().float32_sums) {
                ggml_mul_mat_set_prec(node, GGML_PREC_F32);
            }
        }
    }

    void all() {
        BlocksInTurn blocks(run_, work_);
        for (int from = 0; from < static_cast<int>(work_.size());) {
            run_->check_cancelled();
            const Slice slice = slice_from(from, work_, pace_);
            blocks.fetch(slice, from);
            // Only a node by itself is more than a slice should be.
            const bool much = pace_.of_gpu() && slice.seconds > pace_.most_seconds();
            if (!much || !in_pieces(from)) {
                done_ += compute_timed(run_, backend_, pace_, slice.costs,
                                       [&] { return sdpy::compute_as_arranged(backend_, graph_, from, slice.to); });
            }
            from = slice.to;
            blocks.computed(from);
            if (from < static_cast<int>(work_.size())) {
                report();
            }
        }
    }

   private:
    // Returns whether the node can be divided.
    bool in_pieces(int index) {
        const sdpy::NodePieces pieces(ggml_graph_node(graph_, index));
        if (pieces.count() == 1) {
            return false;
        }
        const NodeWork &work = work_[index];
        const double cost = work.cost / static_cast<double>(pieces.count());
        for (int64_t from = 0; from < pieces.count();) {
            run_->check_cancelled();
            const double seconds = pace_.seconds(work.kind, cost);
            const auto most = std::max<int64_t>(1, static_cast<int64_t>(pace_.most_seconds() / seconds));
            const int64_t to = std::min(from + most, pieces.count());
            Costs costs{};
            costs[static_cast<size_t>(work.kind)] = cost * static_cast<double>(to - from);
            done_ +=
                compute_timed(run_, backend_, pace_, costs, [&] { return pieces.compute(backend_, graph_, from, to); });
            from = to;
            if (from < pieces.count()) {
                report();
            }
        }
        return true;
    }

    void report() { run_->graph_progress(total_ > 0 ? done_ / total_ : 1); }

    Run *run_;
    ggml_backend_t backend_;
    ggml_cgraph *graph_;
    Pace pace_;
    std::vector<NodeWork> work_;
    double total_ = 0, done_ = 0;
};

// A denoiser that gives no numbers in its first step will not in the others. What a VAE gives is looked at here, because the
// engine's clamping makes colours of NaN.
void check_result(const char *part, ggml_cgraph *graph) {
    const ggml_tensor *result = ggml_graph_node(graph, ggml_graph_n_nodes(graph) - 1);
    if (result->type == GGML_TYPE_F32 && ggml_is_contiguous(result)) {
        std::vector<float> values(ggml_nelements(result));
        ggml_backend_tensor_get(result, values.data(), 0, ggml_nbytes(result));
        sdpy::check_numbers(part, values.data(), static_cast<int64_t>(values.size()));
    }
}

}  // namespace

ggml_status sdpy_graph_compute(ggml_backend_t backend, ggml_cgraph *graph) {
    Run *run = Run::current();
    if (run == nullptr) {
        return sdpy::compute_nodes(backend, graph, 0, ggml_graph_n_nodes(graph));
    }
    {
        const CancelGuard guard(run, backend, graph);
        Computing(run, backend, graph).all();
    }
    run->check_cancelled();
    if (run->first_of_denoising()) {
        check_result("denoiser", graph);
    } else if (run->decoding()) {
        check_result("VAE", graph);
    }
    run->graph_done();
    return GGML_STATUS_SUCCESS;
}
