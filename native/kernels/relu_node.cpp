/* ReLU that passes on what is no number. ggml's makes zeros of it, which tiny autoencoders make a picture of. */
#include "kernels/graph.h"
#include "kernels/nodes.h"

/* As overrides/overrides.h declares it, which would re-point ggml's below. */
ggml_tensor *sdpy_relu_inplace(ggml_context *context, ggml_tensor *x);

namespace sdpy {

namespace {

void relu(ggml_tensor *out, const ggml_tensor *x, int thread, int threads, void *) {
    const int64_t rows = ggml_nrows(out), columns = out->ne[0];
    for (int64_t row = share(rows, thread, threads); row < share(rows, thread + 1, threads); ++row) {
        const int64_t i1 = row % out->ne[1], i2 = row / out->ne[1] % out->ne[2], i3 = row / out->ne[1] / out->ne[2];
        const auto *from = reinterpret_cast<const float *>(static_cast<const char *>(x->data) + i1 * x->nb[1] +
                                                           i2 * x->nb[2] + i3 * x->nb[3]);
        auto *to = reinterpret_cast<float *>(static_cast<char *>(out->data) + i1 * out->nb[1] + i2 * out->nb[2] +
                                             i3 * out->nb[3]);
        for (int64_t i = 0; i < columns; ++i) {
            to[i] = from[i] <= 0 ? 0 : from[i];  // of NaN that is false
        }
    }
}

}  // namespace

}  // namespace sdpy

ggml_tensor *sdpy_relu_inplace(ggml_context *context, ggml_tensor *x) {
    if (sdpy::Kernels::on() && x->type == GGML_TYPE_F32 && x->nb[0] == sizeof(float)) {
        return ggml_map_custom1_inplace(context, x, sdpy::relu, GGML_N_TASKS_MAX, nullptr);
    }
    return ggml_relu_inplace(context, x);
}
