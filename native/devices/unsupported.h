// What a device cannot compute.
#pragma once

#include <string>

#include "ggml-backend.h"
#include "ggml.h"

namespace sdpy {

// What a GPU cannot compute of a graph: most often a tensor that is more than it can address at once, of which it would
// leave out the rest without a word. "" where it can compute all.
std::string unsupported_in(ggml_cgraph *graph, ggml_backend_dev_t device);

}  // namespace sdpy
