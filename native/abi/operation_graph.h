// The graph of a single operation, as the engine would build it.
#pragma once

#include "base/sdpy.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace sdpy {

// Tensors of a context, without memory yet.
struct OperationGraph {
    ggml_tensor *weights;  // null where it reads none
    ggml_tensor *input;
    ggml_tensor *positions;  // int32, of tokens: 0, 1, ...; null where it reads none
    ggml_tensor *result;
};

// Throws BadSettings where shapes do not fit.
OperationGraph operation_graph(ggml_context *context, ggml_backend_t backend, const sdpy_operation &operation);

}  // namespace sdpy
