/* 3x3 convolutions with a quarter of the multiplications: Winograd's minimal filtering F(4x4, 3x3), after Lavin and Gray,
 * "Fast Algorithms for Convolutional Neural Networks", 2015 (https://arxiv.org/abs/1509.09308).
 *
 * A tile of 4x4 pixels of the result needs 6x6 of the picture. Both these and the weights are transformed to 36 numbers;
 * tile and weights are then multiplied number by number and added up over the channels, which is 36 matrix products, and
 * the sums are transformed back. float32 throughout. Errors are some ten times those of plain sums.
 */
#ifndef SDPY_KERNELS_WINOGRAD_H
#define SDPY_KERNELS_WINOGRAD_H

#include "kernels/convolution.h"

namespace sdpy {

/* Arrays of float32; channels and out channels are filled up with zeros to a multiple of `channel_granule`.
 *
 *   padded:  (tiled_height, tiled_width, spaced channels): a picture with its channels side by side
 *   packed:  (blocks of out channels, 36, channels + 1, block)
 *   scratch: tiles and sums of a piece of work, `scratch_size` of them
 *   out:     (out_channels, height, width)
 */
struct WinogradKernels {
    int block; /* out channels that are computed together */
    /* Rows `from` to `to` of `padded` from a picture (channels, height, width) whose rows and planes are `row` and `plane`
     * bytes apart. */
    void (*pad)(const Convolution &shape, const char *picture, int64_t row, int64_t plane, float *padded, int64_t from,
                int64_t to);
    /* Blocks `from` to `to` of weights (out_channels, channels, 3, 3), of float16 or float32. */
    void (*pack)(const Convolution &shape, const void *weights, bool half, float *packed, int64_t from, int64_t to);
    /* Tiles `from` to `to`, at most `most_tiles`, row by row. */
    void (*convolve)(const Convolution &shape, const float *padded, const float *packed, float *scratch, float *out,
                     int64_t from, int64_t to);
};

enum { channel_granule = 32, tile_edge = 4, transformed = 36 };

static inline int64_t tile_rows(const Convolution &shape) { return (shape.height + tile_edge - 1) / tile_edge; }
static inline int64_t tile_columns(const Convolution &shape) { return (shape.width + tile_edge - 1) / tile_edge; }
/* Pixels in a column and in a row of `padded`. */
static inline int64_t tiled_height(const Convolution &shape) { return tile_rows(shape) * tile_edge + 2; }
static inline int64_t tiled_width(const Convolution &shape) { return tile_columns(shape) * tile_edge + 2; }
static inline int64_t filled_up(int64_t channels) {
    return (channels + channel_granule - 1) / channel_granule * channel_granule;
}
/* Floats from one pixel's or tile's channels to the next one's. A line more than they need: at distances of powers of two,
 * all of them would fall into the same few places of a cache. */
static inline int64_t spaced(int64_t channels) { return filled_up(channels) + 16; }
/* Floats of a block's weights for one of the 36 products, for the same reason with a row too many. */
static inline int64_t weights_size(const Convolution &shape, int block) {
    return (filled_up(shape.channels) + 1) * block;
}
/* Blocks of out channels, and floats in `packed`. */
static inline int64_t block_count(const Convolution &shape, const WinogradKernels &kernels) {
    return filled_up(shape.out_channels) / kernels.block;
}
static inline int64_t packed_size(const Convolution &shape, const WinogradKernels &kernels) {
    return block_count(shape, kernels) * transformed * weights_size(shape, kernels.block);
}

/* Tiles that are computed together: their numbers should stay in the last cache, and all packed weights go by for them. */
static inline int64_t most_tiles(const Convolution &shape) {
    const int64_t fitting = (8 << 20) / 4 / transformed / (spaced(shape.channels) + spaced(shape.out_channels));
    return fitting < 48 ? 48 : fitting > 192 ? 192 : fitting;
}
static inline int64_t scratch_size(const Convolution &shape) {
    return transformed * most_tiles(shape) * (spaced(shape.channels) + spaced(shape.out_channels));
}

extern const WinogradKernels winograd_avx2, winograd_avx512;

}  // namespace sdpy

#endif
