/* Our kernels as nodes of the engine's graphs. */
#ifndef SDPY_KERNELS_GRAPH_H
#define SDPY_KERNELS_GRAPH_H

#include "ggml.h"

namespace sdpy {

struct ConvolutionKernels;

/* Those of a level (sdpy_kernels), or null where this CPU cannot run them. */
const ConvolutionKernels *convolution_kernels_of(int level);
/* The fastest that this CPU can run, or null: none, or SDCPP_PY_KERNELS=off in the environment. */
const ConvolutionKernels *convolution_kernels();

/* Operations of a node that is one of our convolutions, else 0. */
double convolution_cost(const ggml_tensor *node);

/* As long as it lives, graphs that this thread builds use our kernels, if `on`. They run on the CPU alone. */
class Kernels {
   public:
    explicit Kernels(bool on);
    ~Kernels();
    /* Whether this thread's graphs use our kernels. */
    static bool on();
    Kernels(const Kernels &) = delete;
    Kernels &operator=(const Kernels &) = delete;
};

}  // namespace sdpy

#endif
