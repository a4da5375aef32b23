// Compiled once for AVX2 and once for AVX-512: SDPY_KERNELS is the name of the table.
#include "kernels/convolution.h"

#include <immintrin.h>

namespace {

using sdpy::Convolution;

#ifdef __AVX512F__
constexpr int lanes = 16, block = 8, widest = 2;  // 16 of 32 registers add up, enough to hide an addition's latency
#else
constexpr int lanes = 8, block = 4, widest = 3;  // 12 of 16
#endif
constexpr int taps = 9;
constexpr int64_t band_bytes = 512 << 10;  // rows of the input that should stay in a core's second cache

typedef float Vector __attribute__((vector_size(lanes * sizeof(float)), aligned(sizeof(float)), may_alias));

// A tile of `tiles` vectors of one row, for a block of out channels, added up over all channels and taps.
template <int tiles>
inline void add_up(const float *padded, int64_t channels, int64_t width, const float *weights, Vector (&sum)[block][tiles]) {
    for (int o = 0; o < block; ++o) {
        for (int t = 0; t < tiles; ++t) {
            sum[o][t] = Vector{};
        }
    }
    for (int64_t channel = 0; channel < channels; ++channel, padded += width) {
#pragma GCC unroll 9
        for (int tap = 0; tap < taps; ++tap, weights += block) {
            const float *from = padded + tap / 3 * channels * width + tap % 3;
            Vector value[tiles];
#pragma GCC unroll 3
            for (int t = 0; t < tiles; ++t) {
                value[t] = *reinterpret_cast<const Vector *>(from + t * lanes);
            }
#pragma GCC unroll 8
            for (int o = 0; o < block; ++o) {
#pragma GCC unroll 3
                for (int t = 0; t < tiles; ++t) {
                    sum[o][t] += value[t] * weights[o];
                }
            }
        }
    }
}

template <int tiles>
inline void tile(const Convolution &shape, const float *padded, const float *weights, float *out, int64_t outs,
                 int64_t pixels) {
    Vector sum[block][tiles];
    add_up<tiles>(padded, shape.channels, sdpy::padded_width(shape), weights, sum);
    for (int o = 0; o < block; ++o) {
        if (o < outs) {
            float *to = out + o * shape.height * shape.width;
            for (int t = 0; t < tiles; ++t) {
                if (pixels >= (t + 1) * lanes) {
                    *reinterpret_cast<Vector *>(to + t * lanes) = sum[o][t];
                } else {
                    for (int64_t x = t * lanes; x < pixels; ++x) {
                        to[x] = sum[o][t][x - t * lanes];
                    }
                }
            }
        }
    }
}

void pad(const Convolution &shape, const char *picture, int64_t row, int64_t plane, float *padded, int64_t from,
         int64_t to) {
    const int64_t width = sdpy::padded_width(shape);
    for (int64_t y = from; y < to; ++y) {
        for (int64_t channel = 0; channel < shape.channels; ++channel) {
            float *line = padded + (y * shape.channels + channel) * width;
            const bool inside = y > 0 && y <= shape.height;
            const auto *source = reinterpret_cast<const float *>(picture + (y - 1) * row + channel * plane);
            for (int64_t x = 0; x < width; ++x) {
                line[x] = inside && x > 0 && x <= shape.width ? source[x - 1] : 0.0f;
            }
        }
    }
}

void pack(const Convolution &shape, const void *weights, bool half, float *packed, int64_t from, int64_t to) {
    const int64_t size = shape.channels * taps;
    for (int64_t b = from; b < to; ++b) {
        for (int o = 0; o < block; ++o) {
            float *line = packed + b * size * block + o;
            const int64_t out = b * block + o;
            for (int64_t i = 0; i < size; ++i) {
                const int64_t at = out * size + i;
                line[i * block] = out >= shape.out_channels ? 0.0f
                                  : half                    ? _cvtsh_ss(static_cast<const uint16_t *>(weights)[at])
                                                            : static_cast<const float *>(weights)[at];
            }
        }
    }
}

void convolve(const Convolution &shape, const float *padded, const float *packed, float *out, int64_t from, int64_t to) {
    const int64_t width = sdpy::padded_width(shape), line = shape.channels * width;
    const int64_t size = shape.channels * taps * block;
    const int64_t fitting = band_bytes / static_cast<int64_t>(sizeof(float)) / line - 2;
    const int64_t rows = fitting > 1 ? fitting : 1;
    for (int64_t first = from; first < to; first += rows) {
        const int64_t last = first + rows < to ? first + rows : to;
        for (int64_t o = 0; o < shape.out_channels; o += block) {
            const float *weights = packed + o / block * size;
            for (int64_t y = first; y < last; ++y) {
                float *target = out + (o * shape.height + y) * shape.width;
                const float *source = padded + y * line;
                const int64_t outs = shape.out_channels - o;
                for (int64_t x = 0; x < shape.width; x += widest * lanes) {
                    const int64_t left = shape.width - x;
                    if (left > (widest - 1) * lanes) {
                        tile<widest>(shape, source + x, weights, target + x, outs, left);
                    } else if (widest > 2 && left > lanes) {
                        tile<2>(shape, source + x, weights, target + x, outs, left);
                    } else {
                        tile<1>(shape, source + x, weights, target + x, outs, left);
                    }
                }
            }
        }
    }
}

}  // namespace

const sdpy::ConvolutionKernels sdpy::SDPY_KERNELS = {block, pad, pack, convolve};
