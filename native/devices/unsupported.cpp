#include "devices/unsupported.h"

namespace sdpy {

namespace {

bool is_view(ggml_op op) {
    return op == GGML_OP_VIEW || op == GGML_OP_RESHAPE || op == GGML_OP_PERMUTE || op == GGML_OP_TRANSPOSE;
}

std::string shape_of(const ggml_tensor *tensor) {
    std::string text = ggml_type_name(tensor->type);
    for (int axis = 0; axis < ggml_n_dims(tensor); ++axis) {
        text += (axis == 0 ? " " : "x") + std::to_string(tensor->ne[axis]);
    }
    return text;
}

std::string describe(const ggml_tensor *node) {
    std::string text = std::string(ggml_op_desc(node)) + " (" + shape_of(node);
    for (int i = 0; i < 2 && node->src[i] != nullptr; ++i) {
        text += std::string(i == 0 ? " from " : " and ") + shape_of(node->src[i]);
    }
    return text + ")";
}

}  // namespace

std::string unsupported_in(ggml_cgraph *graph, ggml_backend_dev_t device) {
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) {
        return "";
    }
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        const ggml_tensor *node = ggml_graph_node(graph, i);
        if (!is_view(node->op) && node->op != GGML_OP_NONE && !ggml_backend_dev_supports_op(device, node)) {
            return describe(node);
        }
    }
    return "";
}

}  // namespace sdpy
