#include "overrides/graph_slices.h"

#include <algorithm>

#include "ggml-impl.h"
#include "kernels/graph.h"

namespace sdpy {

namespace {
// What one element of a memory-bound operation costs against one operation of a matrix product, on CPUs and GPUs alike
// to within a factor of two or three: enough to divide a graph by.
constexpr double element_cost = 64;
}  // namespace

double node_cost(const ggml_tensor *node) {
    const double elements = static_cast<double>(ggml_nelements(node));
    switch (node->op) {
        case GGML_OP_NONE:
        case GGML_OP_RESHAPE:
        case GGML_OP_VIEW:
        case GGML_OP_PERMUTE:
        case GGML_OP_TRANSPOSE:
            return 0;
        case GGML_OP_MUL_MAT:
        case GGML_OP_MUL_MAT_ID:
            return 2 * elements * static_cast<double>(node->src[0]->ne[0]);
        case GGML_OP_FLASH_ATTN_EXT:
            return 4 * elements * static_cast<double>(node->src[1]->ne[1]);
        case GGML_OP_CONV_2D:
            return 2 * elements * static_cast<double>(ggml_nelements(node->src[0]) / node->src[0]->ne[3]);
        case GGML_OP_CUSTOM:
            return std::max(kernel_cost(node), element_cost * elements);
        default:
            return element_cost * elements;
    }
}

ggml_status compute_nodes(ggml_backend_t backend, ggml_cgraph *graph, int from, int to) {
    ggml_cgraph view = ggml_graph_view(graph, from, to);
    return ggml_backend_graph_compute(backend, &view);
}

}  // namespace sdpy
