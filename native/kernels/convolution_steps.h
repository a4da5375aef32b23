/* The steps before a convolution that direct ones and Winograd's have in common as nodes of a graph. `Table` is the type of
 * their kernels.
 */
#ifndef SDPY_KERNELS_CONVOLUTION_STEPS_H
#define SDPY_KERNELS_CONVOLUTION_STEPS_H

#include "kernels/nodes.h"

namespace sdpy {

template <class Table>
const Table &kernels_of(void *user_data) {
    return *static_cast<const Table *>(user_data);
}

/* Of a picture (width, height, channels, batch) and the weights that it is to be convolved with. */
inline Convolution shape_of(const ggml_tensor *picture, const ggml_tensor *weights) {
    return {picture->ne[0], picture->ne[1], weights->ne[2], weights->ne[3], weights->ne[0]};
}

/* One picture of a batch. */
inline float *picture_of(const ggml_tensor *tensor, int64_t n) {
    return reinterpret_cast<float *>(static_cast<char *>(tensor->data) + n * tensor->nb[3]);
}

/* Result: padded pictures, whose rows are its third dimension. Sources: pictures (width, height, channels, batch) and the
 * weights that they are for. */
template <class Table>
void pad_pictures(ggml_tensor *result, int thread, int threads, void *kernels) {
    const ggml_tensor *x = result->src[0];
    for (int64_t n = 0; n < x->ne[3]; ++n) {
        kernels_of<Table>(kernels).pad(shape_of(x, result->src[1]), reinterpret_cast<const char *>(picture_of(x, n)),
                                       x->nb[1], x->nb[2], picture_of(result, n), share(result->ne[2], thread, threads),
                                       share(result->ne[2], thread + 1, threads));
    }
}

/* Result: packed weights. Source: weights (edge, edge, channels, out channels). */
template <class Table>
void pack_weights(ggml_tensor *result, int thread, int threads, void *kernels) {
    const ggml_tensor *w = result->src[0];
    const Table &table = kernels_of<Table>(kernels);
    const Convolution shape{0, 0, w->ne[2], w->ne[3], w->ne[0]};
    const int64_t blocks = block_count(shape, table);
    table.pack(shape, w->data, w->type == GGML_TYPE_F16, static_cast<float *>(result->data),
               share(blocks, thread, threads), share(blocks, thread + 1, threads));
}

}  // namespace sdpy

#endif
