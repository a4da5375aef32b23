/* Which of our kernels this CPU can run. */
#ifndef SDPY_KERNELS_LEVELS_H
#define SDPY_KERNELS_LEVELS_H

namespace sdpy {

struct AttentionKernels;
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
    const AttentionKernels *attention;
};

/* By its name, or null where this CPU cannot run it. */
const Level *level_named(const char *name);
/* Chooses kernels for graphs that are built from now on: a level's name, "off" for none, "" for the fastest. Throws
 * NoBackend with the names there are. */
void choose_kernels(const char *name);
/* Whether "off" was chosen. */
bool switched_off();
/* What was chosen: null for "off", and where this CPU can run none. */
const Level *level_to_use();
/* Its name, "off", or "" where this CPU can run none. */
const char *kernels_in_use();

}  // namespace sdpy

#endif
