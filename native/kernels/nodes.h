/* What the nodes of all our kernels have in common. */
#ifndef SDPY_KERNELS_NODES_H
#define SDPY_KERNELS_NODES_H

#include <cstdint>
#include <cstring>
#include <vector>

#include "ggml.h"
#include "kernels/convolution.h"

namespace sdpy {

/* A node of float32 or bytes that runs `function` over `table`, on all threads. */
inline ggml_tensor *kernel_node(ggml_context *context, ggml_custom_op_t function, const void *table, ggml_type type,
                                std::vector<ggml_tensor *> sources, int64_t ne0, int64_t ne1, int64_t ne2,
                                int64_t ne3) {
    return ggml_custom_4d(context, type, ne0, ne1, ne2, ne3, sources.data(), static_cast<int>(sources.size()), function,
                          GGML_N_TASKS_MAX, const_cast<void *>(table));
}

inline bool runs(const ggml_tensor *node, ggml_custom_op_t function) {
    ggml_custom_op_t own = nullptr;
    if (node->op == GGML_OP_CUSTOM) {
        std::memcpy(&own, node->op_params, sizeof own);  // the first of the node's parameters
    }
    return own == function;
}

/* Where one of several shares of `all` begins; the next one's beginning is its end. */
inline int64_t share(int64_t all, int64_t number, int64_t count) { return all * number / count; }

/* Which of our kernels a node is, and the operations of one that is a convolution. */
bool is_product(const ggml_tensor *node);
bool is_convolution(const ggml_tensor *node);
double convolution_cost(const ggml_tensor *node);
bool is_attention(const ggml_tensor *node);
double attention_cost(const ggml_tensor *node);
bool is_winograd(const ggml_tensor *node);
double winograd_cost(const ggml_tensor *node);

struct WinogradKernels;
/* Whether a convolution of this shape is quicker by Winograd's way. */
bool pays_by_winograd(const Convolution &shape);
/* A picture (width, height, channels, batch) convolved with weights (3, 3, channels, out channels), on so many threads. */
ggml_tensor *winograd_node(ggml_context *context, const WinogradKernels &kernels, int threads, ggml_tensor *weights,
                           ggml_tensor *picture);

}  // namespace sdpy

#endif
