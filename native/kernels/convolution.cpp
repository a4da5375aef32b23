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
constexpr int64_t band_bytes = 512 << 10;  // rows of the input that should stay in a core's second cache

typedef float Vector __attribute__((vector_size(lanes * sizeof(float)), aligned(sizeof(float)), may_alias));

// A tile of `tiles` vectors of one row, for a block of out channels, added up over all channels and taps.
template <int edge, int tiles>
inline void add_up(const float *padded, int64_t channels, int64_t width, const float *weights,
                   Vector (&sum)[block][tiles]) {
    for (int o = 0; o < block; ++o) {
        for (int t = 0; t < tiles; ++t) {
            sum[o][t] = Vector{};
        }
    }
    for (int64_t channel = 0; channel < channels; ++channel, padded += width) {
#pragma GCC unroll 9
        for (int tap = 0; tap < edge * edge; ++tap, weights += block) {
            const float *from = padded + tap / edge * channels * width + tap % edge;
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

template <int edge, int tiles>
inline void tile(const Convolution &shape, const float *padded, const float *weights, float *out, int64_t outs,
                 int64_t pixels) {
    Vector sum[block][tiles];
    add_up<edge, tiles>(padded, shape.channels, sdpy::padded_width(shape), weights, sum);
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
    const int64_t width = sdpy::padded_width(shape), border = shape.edge / 2;
    for (int64_t y = from; y < to; ++y) {
        for (int64_t channel = 0; channel < shape.channels; ++channel) {
            float *line = padded + (y * shape.channels + channel) * width;
            const bool inside = y >= border && y < shape.height + border;
            const auto *source = reinterpret_cast<const float *>(picture + (y - border) * row + channel * plane);
            for (int64_t x = 0; x < width; ++x) {
                line[x] = inside && x >= border && x < shape.width + border ? source[x - border] : 0.0f;
            }
        }
    }
}

void pack(const Convolution &shape, const void *weights, bool half, float *packed, int64_t from, int64_t to) {
    const int64_t size = shape.channels * shape.edge * shape.edge;
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

template <int edge>
void convolve_edge(const Convolution &shape, const float *padded, const float *packed, float *out, int64_t from,
                   int64_t to) {
    const int64_t width = sdpy::padded_width(shape), line = shape.channels * width;
    const int64_t size = shape.channels * edge * edge * block;
    const int64_t fitting = band_bytes / static_cast<int64_t>(sizeof(float)) / line - (edge - 1);
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
                        tile<edge, widest>(shape, source + x, weights, target + x, outs, left);
                    } else if (widest > 2 && left > lanes) {
                        tile<edge, 2>(shape, source + x, weights, target + x, outs, left);
                    } else {
                        tile<edge, 1>(shape, source + x, weights, target + x, outs, left);
                    }
                }
            }
        }
    }
}

void convolve(const Convolution &shape, const float *padded, const float *packed, float *out, int64_t from,
              int64_t to) {
    (shape.edge == 3 ? convolve_edge<3> : convolve_edge<1>)(shape, padded, packed, out, from, to);
}

}  // namespace

const sdpy::ConvolutionKernels sdpy::SDPY_KERNELS = {block, pad, pack, convolve};
