// Layers that add nothing are not computed.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"
#include "jobs/run.h"
#include "kernels/graph.h"
#include "kernels/levels.h"
#include "weights/part_weights.h"

namespace sdpy {

// Whether weights are in memory while a graph is built.
inline bool weights_at_hand() {
    const Run *run = Run::current();
    return run == nullptr || (!run->measuring() && (run->part() == nullptr || run->part()->streamed() == nullptr));
}

// Whether a weight, in whatever device's memory, is zero throughout. Any other is known after its first row or two.
inline bool all_zero(const ggml_tensor *w) {
    if (!weights_at_hand()) {
        return false;
    }
    const ggml_to_float_t to_float = ggml_get_type_traits(w->type)->to_float;
    if (w->op != GGML_OP_NONE || w->buffer == nullptr || !ggml_is_contiguous(w) ||
        (to_float == nullptr && w->type != GGML_TYPE_F32)) {
        return false;
    }
    std::vector<char> stored(w->nb[1]);
    std::vector<float> values(w->ne[0]);
    for (int64_t row = 0; row < ggml_nrows(w); ++row) {
        ggml_backend_tensor_get(w, stored.data(), row * w->nb[1], w->nb[1]);
        if (to_float != nullptr) {
            to_float(stored.data(), values.data(), w->ne[0]);
        } else {
            std::memcpy(values.data(), stored.data(), w->nb[1]);
        }
        if (std::any_of(values.begin(), values.end(), [](float value) { return value != 0; })) {
            return false;
        }
    }
    return true;
}

// A layer adds its output to what it got. Where the output's weights are all zero, nothing of the layer is left in the
// graph. The encoder of the model in the package has 28 layers, because the engine counts on them, and uses six. Takes the
// place of ggml_add_inplace inside of the engine's language models.
inline ggml_tensor *add_to_residual(ggml_context *context, ggml_tensor *output, ggml_tensor *residual) {
    const ggml_tensor *weights = weights_of(output);
    if (!switched_off() && weights != nullptr && ggml_are_same_shape(output, residual) && all_zero(weights)) {
        return residual;
    }
    return ggml_add_inplace(context, output, residual);
}

}  // namespace sdpy
