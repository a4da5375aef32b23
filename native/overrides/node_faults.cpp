#include "overrides/node_faults.h"

#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "jobs/run.h"
#include "overrides/graph_slices.h"

namespace sdpy {

namespace {

struct ArrangedFault {
    std::atomic<int> fault{SDPY_NODE_WORKS};
    std::atomic<uint64_t> at{0}, computed{0};
};

ArrangedFault &arranged_fault() {
    static auto *arranged = new ArrangedFault;  // never destroyed: parked threads outlive static destructors
    return *arranged;
}

// Infinities become NaN in most of what follows, but not in all of it.
void fill(ggml_tensor *node, float value) {
    if (node->type == GGML_TYPE_F32 && ggml_is_contiguous(node)) {
        const std::vector<float> values(ggml_nelements(node), value);
        ggml_backend_tensor_set(node, values.data(), 0, ggml_nbytes(node));
    }
}

// Of results or weights that are in memory already: nothing is computed that could go wrong.
bool is_other_shape(ggml_op op) {
    return op == GGML_OP_NONE || op == GGML_OP_RESHAPE || op == GGML_OP_VIEW || op == GGML_OP_PERMUTE ||
           op == GGML_OP_TRANSPOSE;
}

ggml_status meet_fault(int fault, ggml_backend_t backend, ggml_cgraph *graph, int node) {
    if (Run *run = Run::current()) {
        const ggml_tensor *tensor = ggml_graph_node(graph, node);
        run->log(SDPY_LOG_WARNING,
                 std::string("a fault was asked for at ") + ggml_op_desc(tensor) + " " + tensor->name);
    }
    switch (fault) {
        case SDPY_NODE_THROWS:
            throw std::runtime_error("a node was to fail");
        case SDPY_NODE_CHECK:
            GGML_ASSERT(false && "a node was to fail");
            break;
        case SDPY_NODE_FAILS:
            return GGML_STATUS_FAILED;
        case SDPY_NODE_NO_MEMORY:
            return GGML_STATUS_ALLOC_FAILED;
        default:
            break;
    }
    const ggml_status status = compute_nodes(backend, graph, node, node + 1);
    if (is_other_shape(ggml_graph_node(graph, node)->op)) {
        return status;
    }
    fill(ggml_graph_node(graph, node), fault == SDPY_NODE_INFINITY ? INFINITY : NAN);
    return status;
}

}  // namespace

void arrange_node_fault(sdpy_node_fault fault, uint64_t at) {
    ArrangedFault &arranged = arranged_fault();
    arranged.fault = SDPY_NODE_WORKS;  // not the old one at the new place
    arranged.at = at;
    arranged.computed = 0;
    arranged.fault = fault;
}

uint64_t nodes_computed() { return arranged_fault().computed; }

ggml_status compute_as_arranged(ggml_backend_t backend, ggml_cgraph *graph, int from, int to) {
    ArrangedFault &arranged = arranged_fault();
    const auto nodes = static_cast<uint64_t>(to - from);
    const uint64_t before = arranged.computed.fetch_add(nodes), at = arranged.at;
    const int fault = arranged.fault;
    if (fault == SDPY_NODE_WORKS || at < before || at >= before + nodes) {
        return compute_nodes(backend, graph, from, to);
    }
    const int node = from + static_cast<int>(at - before);
    ggml_status status = node > from ? compute_nodes(backend, graph, from, node) : GGML_STATUS_SUCCESS;
    status = status == GGML_STATUS_SUCCESS ? meet_fault(fault, backend, graph, node) : status;
    return status == GGML_STATUS_SUCCESS && node + 1 < to ? compute_nodes(backend, graph, node + 1, to) : status;
}

}  // namespace sdpy
