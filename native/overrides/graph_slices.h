// Computing a graph slice by slice.
#pragma once

#include "ggml-backend.h"
#include "ggml.h"

namespace sdpy {

// A rough cost of one node, in floating-point operations of a matrix product.
double node_cost(const ggml_tensor *node);

// Computes nodes [from, to) of the graph. In a file of its own, because the header that declares ggml's graph views
// clashes with the engine's headers.
ggml_status compute_nodes(ggml_backend_t backend, ggml_cgraph *graph, int from, int to);

}  // namespace sdpy
