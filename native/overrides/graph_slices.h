// Computing a graph slice by slice, and a node that is too much for one in pieces.
#pragma once

#include "devices/submission_pacing.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sdpy {

// A rough cost of one node, in floating-point operations of a matrix product, and of which kind they are.
double node_cost(const ggml_tensor *node);
WorkKind node_kind(const ggml_tensor *node);

// These are in a file of their own, because the header that declares ggml's graph views clashes with the engine's headers.

// Computes nodes [from, to) of the graph.
ggml_status compute_nodes(ggml_backend_t backend, ggml_cgraph *graph, int from, int to);

// A node that can be computed piece by piece: a product by columns of its result (tokens) or by matrices (heads), a
// convolution by output channels. Shapes and addresses are moved in copies of the node and its sources, so that it takes no
// memory and changes no other node; each value is computed as in the whole.
class NodePieces {
   public:
    explicit NodePieces(ggml_tensor *node);
    // 1 where it cannot be divided.
    int64_t count() const { return (extent_ + unit_ - 1) / unit_; }
    // Where there are several.
    ggml_status compute(ggml_backend_t backend, ggml_cgraph *graph, int64_t from, int64_t to) const;

   private:
    // An axis of a tensor that is divided with the node; -1 where all of the tensor is read by each piece.
    struct Axes {
        int result, weights, input;
    };
    Axes axes() const;

    ggml_tensor *node_;
    int64_t extent_ = 1, unit_ = 1;
};

}  // namespace sdpy
