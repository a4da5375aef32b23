// One operation of ggml's on a device, by itself.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "abi/operation_graph.h"
#include "base/errors.h"
#include "base/sdpy.h"
#include "base/status.h"
#include "devices/cpu_threads.h"
#include "devices/devices.h"
#include "devices/imported_memory.h"
#include "devices/unsupported.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "overrides/graph_slices.h"

namespace {

using sdpy::BadSettings;

template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T *value) const {
        Free(value);
    }
};
using Backend = std::unique_ptr<ggml_backend, Freed<ggml_backend_free>>;
using Context = std::unique_ptr<ggml_context, Freed<ggml_free>>;
using Buffer = std::unique_ptr<ggml_backend_buffer, Freed<ggml_backend_buffer_free>>;

// Room in a context; attention, a few heads at a time, has the most.
constexpr size_t nodes = 512;

// Computes all nodes, those that can be divided in pieces.
ggml_status compute(ggml_backend_t backend, ggml_cgraph *graph, int pieces_at_once) {
    ggml_status status = GGML_STATUS_SUCCESS;
    for (int i = 0; i < ggml_graph_n_nodes(graph) && status == GGML_STATUS_SUCCESS; ++i) {
        const sdpy::NodePieces pieces(ggml_graph_node(graph, i));
        if (pieces.count() == 1) {
            status = sdpy::compute_nodes(backend, graph, i, i + 1);
            continue;
        }
        for (int64_t from = 0; from < pieces.count() && status == GGML_STATUS_SUCCESS; from += pieces_at_once) {
            status = pieces.compute(backend, graph, from, std::min(from + pieces_at_once, pieces.count()));
        }
    }
    return status;
}

// Weights in memory of this process, behind a gap, so that they have an address of their own in it.
std::unique_ptr<sdpy::ImportedMemory> import_weights(ggml_backend_t backend, ggml_tensor *weights) {
    if (weights == nullptr) {
        throw BadSettings("this operation has no weights that could be imported");
    }
    const uint64_t gap = sdpy::ImportedMemory::whole_pages(1);
    auto memory = sdpy::ImportedMemory::make(ggml_backend_get_device(backend), gap + ggml_nbytes(weights));
    if (memory == nullptr) {
        throw BadSettings("the device does not import memory of this process");
    }
    ggml_backend_buffer_set_usage(memory->of_device(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    ggml_backend_tensor_alloc(memory->of_device(), weights,
                              static_cast<char *>(ggml_backend_buffer_get_base(memory->of_device())) + gap);
    return memory;
}

// Sends an operation's inputs to the device, and returns how many bytes they are. Into memory of this process the CPU
// writes by itself.
uint64_t upload(const sdpy::OperationGraph &tensors, const sdpy_operation &operation,
                const sdpy::ImportedMemory *imported) {
    uint64_t bytes = ggml_nbytes(tensors.input);
    if (imported != nullptr) {
        std::memcpy(imported->for_cpu(tensors.weights->data), operation.weights, ggml_nbytes(tensors.weights));
    } else if (tensors.weights != nullptr) {
        ggml_backend_tensor_set(tensors.weights, operation.weights, 0, ggml_nbytes(tensors.weights));
        bytes += ggml_nbytes(tensors.weights);
    }
    ggml_backend_tensor_set(tensors.input, operation.input, 0, ggml_nbytes(tensors.input));
    if (tensors.positions != nullptr) {
        std::vector<int32_t> positions(ggml_nelements(tensors.positions));
        std::iota(positions.begin(), positions.end(), 0);
        ggml_backend_tensor_set(tensors.positions, positions.data(), 0, ggml_nbytes(tensors.positions));
    }
    return bytes;
}

// As graphs on a GPU have it by its rules (overrides/graph_compute.cpp).
void set_precision(ggml_cgraph *graph, bool float32_sums) {
    for (int i = 0; float32_sums && i < ggml_graph_n_nodes(graph); ++i) {
        if (ggml_graph_node(graph, i)->op == GGML_OP_MUL_MAT) {
            ggml_mul_mat_set_prec(ggml_graph_node(graph, i), GGML_PREC_F32);
        }
    }
}

// What is known of a graph before it is computed.
void describe(ggml_cgraph *graph, sdpy_computed &computed) {
    computed = {};
    computed.pieces = 1;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        ggml_tensor *node = ggml_graph_node(graph, i);
        computed.pieces = std::max(computed.pieces, static_cast<int>(sdpy::NodePieces(node).count()));
        computed.costs[static_cast<size_t>(sdpy::node_kind(node))] += sdpy::node_cost(node);
    }
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

extern "C" int sdpy_compute(const sdpy_operation *operation, float *out, uint64_t count, sdpy_computed *computed,
                            sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        const Backend backend(sdpy::open_device_named(operation->device));
        sdpy::CpuThreads threads({backend.get()});
        threads.provide(std::max(1, operation->threads));
        const Context context(ggml_init({nodes * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true}));
        const sdpy::OperationGraph tensors = sdpy::operation_graph(context.get(), backend.get(), *operation);
        if (static_cast<uint64_t>(ggml_nelements(tensors.result)) != count) {
            throw BadSettings("the result has " + std::to_string(ggml_nelements(tensors.result)) + " elements");
        }
        ggml_cgraph *graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, tensors.result);
        set_precision(graph, operation->float32_sums != 0);
        const std::string unsupported = sdpy::unsupported_in(graph, ggml_backend_get_device(backend.get()));
        if (!unsupported.empty()) {
            throw BadSettings("the device cannot compute " + unsupported);
        }
        const auto imported = operation->imported != 0 ? import_weights(backend.get(), tensors.weights) : nullptr;
        const Buffer buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
        if (buffer == nullptr) {
            throw sdpy::OutOfMemory("no room for an operation");
        }
        describe(graph, *computed);
        computed->seconds = computed->upload_seconds = std::numeric_limits<double>::max();
        for (int i = 0; i < std::max(1, operation->repeat); ++i) {
            auto begin = std::chrono::steady_clock::now();
            computed->upload_bytes = upload(tensors, *operation, imported.get());
            computed->upload_seconds = std::min(computed->upload_seconds, seconds_since(begin));
            begin = std::chrono::steady_clock::now();
            const ggml_status status = operation->pieces > 0 ? compute(backend.get(), graph, operation->pieces)
                                                             : ggml_backend_graph_compute(backend.get(), graph);
            if (status != GGML_STATUS_SUCCESS) {
                throw sdpy::GenerationFailed("the device failed to compute an operation");
            }
            computed->seconds = std::min(computed->seconds, seconds_since(begin));
        }
        ggml_backend_tensor_get(tensors.result, out, 0, ggml_nbytes(tensors.result));
    });
}
