#include "overrides/graph_slices.h"

#include <algorithm>
#include <array>

#include "ggml-impl.h"
#include "kernels/graph.h"

namespace sdpy {

namespace {

// What one element of a memory-bound operation costs against one operation of a matrix product, on CPUs and GPUs alike
// to within a factor of two or three: enough to divide a graph by.
constexpr double element_cost = 64;
// A GPU computes products in tiles of so many columns; with few columns it takes another way, with other roundings.
constexpr int64_t columns_together = 64;
// Where a part of a buffer begins, for every GPU.
constexpr size_t alignment = 256;

// A copy of a tensor that is a part of it along an axis.
ggml_tensor part_of(const ggml_tensor *whole, int axis, int64_t from, int64_t to) {
    ggml_tensor part = *whole;
    const size_t offset = static_cast<size_t>(from) * whole->nb[axis];
    part.ne[axis] = to - from;
    part.data = static_cast<char *>(whole->data) + offset;
    part.view_offs += whole->view_src == nullptr ? 0 : offset;
    for (int next = axis + 1; next < GGML_MAX_DIMS; ++next) {
        // There is one of each, so that this says nothing but that the part has no gaps.
        part.nb[next] = part.nb[next - 1] * static_cast<size_t>(part.ne[next - 1]);
    }
    return part;
}

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

WorkKind node_kind(const ggml_tensor *node) {
    switch (node->op) {
        case GGML_OP_MUL_MAT:
        case GGML_OP_MUL_MAT_ID:
        case GGML_OP_FLASH_ATTN_EXT:
            return WorkKind::product;
        case GGML_OP_CONV_2D:
            return WorkKind::convolution;
        default:
            return WorkKind::other;
    }
}

ggml_status compute_nodes(ggml_backend_t backend, ggml_cgraph *graph, int from, int to) {
    ggml_cgraph view = ggml_graph_view(graph, from, to);
    return ggml_backend_graph_compute(backend, &view);
}

NodePieces::Axes NodePieces::axes() const {
    if (node_->op == GGML_OP_CONV_2D) {
        return {2, 3, -1};
    }
    return node_->ne[2] == 1 ? Axes{1, -1, 1} : Axes{2, node_->src[0]->ne[2] == 1 ? -1 : 2, 2};
}

NodePieces::NodePieces(ggml_tensor *node) : node_(node) {
    const bool product = node->op == GGML_OP_MUL_MAT && node->ne[3] == 1 && node->src[0]->ne[3] == 1 &&
                         (node->src[0]->ne[2] == 1 || node->src[0]->ne[2] == node->ne[2]);
    const bool convolution = node->op == GGML_OP_CONV_2D && node->ne[3] == 1;
    if (!(product || convolution) || !ggml_is_contiguous(node)) {
        return;
    }
    const Axes divided = axes();
    const std::array<std::pair<const ggml_tensor *, int>, 3> parts{
        {{node, divided.result}, {node->src[0], divided.weights}, {node->src[1], divided.input}}};
    int64_t unit = divided.result == 1 ? columns_together : 1;
    const auto aligned = [&](const auto &part) {
        return part.second < 0 || static_cast<size_t>(unit) * part.first->nb[part.second] % alignment == 0;
    };
    while (unit < node->ne[divided.result] && !std::all_of(parts.begin(), parts.end(), aligned)) {
        unit *= 2;
    }
    extent_ = node->ne[divided.result];
    unit_ = unit;
}

ggml_status NodePieces::compute(ggml_backend_t backend, ggml_cgraph *graph, int64_t from, int64_t to) const {
    from *= unit_;
    to = std::min(to * unit_, extent_);
    const Axes divided = axes();
    ggml_tensor result = part_of(node_, divided.result, from, to), weights = *node_->src[0], input = *node_->src[1];
    if (divided.weights >= 0) {
        weights = part_of(node_->src[0], divided.weights, from, to);
    }
    if (divided.input >= 0) {
        input = part_of(node_->src[1], divided.input, from, to);
    }
    result.src[0] = &weights;
    result.src[1] = &input;
    ggml_tensor *piece = &result;
    ggml_cgraph view = ggml_graph_view(graph, 0, 1);
    view.nodes = &piece;
    return ggml_backend_graph_compute(backend, &view);
}

}  // namespace sdpy
