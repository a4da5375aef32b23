/* Which of our kernels this CPU can run. */
#ifndef SDPY_KERNELS_LEVELS_H
#define SDPY_KERNELS_LEVELS_H

namespace sdpy {

struct ConvolutionKernels;
struct ProductKernels;
struct WinogradKernels;

/* Kernels for one instruction set. */
struct Level {
    const char *name;
    bool (*runs)();
    const ConvolutionKernels *convolution;
    const WinogradKernels *winograd;
    const ProductKernels *product;
};

/* By its name, or null where this CPU cannot run it. */
const Level *level_named(const char *name);
/* Whether SDCPP_PY_KERNELS in the environment is "off". */
bool switched_off();
/* The fastest that this CPU can run, or the one that SDCPP_PY_KERNELS names. Null if there is none. */
const Level *level_to_use();

}  // namespace sdpy

#endif
