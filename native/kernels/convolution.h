/* The VAE's convolutions: 3x3 or 1x1, stride 1, padded with zeros so that a picture keeps its size.
 *
 * The engine's way, im2col in half precision and a matrix product, writes nine copies of its input and reads them again (or
 * one copy, for 1x1).
 * Here a tile of the output stays in registers while the input's rows go by: direct convolution, in float32 throughout.
 * The same source is compiled once for each instruction set, so it includes nothing that has code of its own: the linker
 * would keep one copy of an inline function, and that might be one for another CPU.
 */
#ifndef SDPY_KERNELS_CONVOLUTION_H
#define SDPY_KERNELS_CONVOLUTION_H

#include <stdint.h>

namespace sdpy {

struct Convolution {
    int64_t width, height, channels, out_channels;
    int64_t edge; /* of the weights: 3 or 1 */
};

/* All arrays are of float32 unless said otherwise. Work is divided among threads by the index in the last two arguments
 * of each function: from, to.
 *
 *   padded:  (padded_height, channels, padded_width), rows of all channels side by side, so that a tile finds them near
 *   packed:  (blocks of out channels, channels, edge, edge, block)
 *   out:     (out_channels, height, width)
 */
struct ConvolutionKernels {
    int block; /* out channels that are computed together */
    /* Rows `from` to `to` (of padded_height) of one picture (channels, height, width) whose rows and planes are `row` and
     * `plane` bytes apart. */
    void (*pad)(const Convolution &shape, const char *picture, int64_t row, int64_t plane, float *padded, int64_t from,
                int64_t to);
    /* Blocks `from` to `to` of weights (out_channels, channels, edge, edge), of float16 or float32. */
    void (*pack)(const Convolution &shape, const void *weights, bool half, float *packed, int64_t from, int64_t to);
    /* Rows `from` to `to` (of height) of the result. */
    void (*convolve)(const Convolution &shape, const float *padded, const float *packed, float *out, int64_t from,
                     int64_t to);
};

/* Floats in a row of `padded`: a multiple of the longest vector, and the zeros on both sides. */
static inline int64_t padded_width(const Convolution &shape) { return (shape.width + 15) / 16 * 16 + shape.edge - 1; }
static inline int64_t padded_height(const Convolution &shape) { return shape.height + shape.edge - 1; }

/* Blocks of out channels, and floats in `packed`. */
static inline int64_t block_count(const Convolution &shape, const ConvolutionKernels &kernels) {
    return (shape.out_channels + kernels.block - 1) / kernels.block;
}
static inline int64_t packed_size(const Convolution &shape, const ConvolutionKernels &kernels) {
    return block_count(shape, kernels) * shape.channels * shape.edge * shape.edge * kernels.block;
}

extern const ConvolutionKernels convolution_avx2, convolution_avx512;

}  // namespace sdpy

#endif
