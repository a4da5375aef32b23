// Nodes of graphs that fail on purpose, for the tests of what follows from it.
#pragma once

#include <cstdint>

#include "base/sdpy_parts.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sdpy {

// Of all nodes that are computed from now on, in all graphs, the one of this number meets the fault.
void arrange_node_fault(sdpy_node_fault fault, uint64_t at);
uint64_t nodes_computed();  // since then

// Computes nodes [from, to) of the graph, the fault among them where it is due.
ggml_status compute_as_arranged(ggml_backend_t backend, ggml_cgraph *graph, int from, int to);

}  // namespace sdpy
