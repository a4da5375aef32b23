/* Our kernels as nodes of the engine's graphs. */
#ifndef SDPY_KERNELS_GRAPH_H
#define SDPY_KERNELS_GRAPH_H

#include <atomic>

#include "ggml.h"

namespace sdpy {

struct Level;

/* As long as it lives, graphs that this thread builds for so many threads use our kernels, if `on`. They run on the CPU alone. */
class Kernels {
   public:
    Kernels(bool on, int threads);
    ~Kernels();
    /* Those that this thread's graphs use, or null. */
    static const Level *in_use();
    static int threads();
    static bool on() { return in_use() != nullptr; }
    Kernels(const Kernels &) = delete;
    Kernels &operator=(const Kernels &) = delete;
};

/* Weights times activations, and what a LoRA adds: `up` (rank, outputs) times `down` (inputs, rank) times the activations,
 * added while a result is in the cache. Null where our kernels do not fit. */
ggml_tensor *product_and_low_rank(ggml_context *context, ggml_tensor *w, ggml_tensor *x, ggml_tensor *down,
                                  ggml_tensor *up);
/* Attention of queries, keys and values (head size, tokens, heads, batch), where keys and values may have fewer heads: their
 * products over the root of the head size, plus a mask (keys, queries, heads or 1), are the logarithms of weights. Gives
 * (head size * heads, tokens, batch). Null where our kernels do not fit. */
ggml_tensor *attention_node(ggml_context *context, ggml_tensor *q, ggml_tensor *k, ggml_tensor *v, ggml_tensor *mask);
/* Operations of a node that is one of our convolutions, products or attention, else 0. */
double kernel_cost(const ggml_tensor *node);
/* Lets a node that is one of ours, and may take seconds, end early where the flag is set, with no result. The flag must live
 * until the node was computed. */
void heed_cancelling(ggml_tensor *node, const std::atomic<bool> &cancelled);
/* The weights of a node that is a matrix product, ggml's or ours, else null. */
const ggml_tensor *weights_of(const ggml_tensor *node);

}  // namespace sdpy

#endif
