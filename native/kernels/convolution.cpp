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

// A tile of `tiles` vectors, which are `apart` floats from each other, for a block of out channels, added up over all
// channels and taps.
template <int edge, int tiles>
inline void add_up(const float *padded, int64_t channels, int64_t width, int64_t apart, const float *weights,
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
                value[t] = *reinterpret_cast<const Vector *>(from + t * apart);
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

// The vectors of a tile lie side by side in a row of `pixels` pixels, or, in a picture that is no wider than one, below each
// other.
template <int edge, int tiles, bool below>
inline void tile(const Convolution &shape, const float *padded, const float *weights, float *out, int64_t outs,
                 int64_t pixels) {
    const int64_t width = sdpy::padded_width(shape);
    Vector sum[block][tiles];
    add_up<edge, tiles>(padded, shape.channels, width, below ? shape.channels * width : lanes, weights, sum);
    for (int o = 0; o < block && o < outs; ++o) {
        float *to = out + o * shape.height * shape.width;
        for (int t = 0; t < tiles; ++t) {
            const int64_t left = below ? pixels : pixels - t * lanes;
            float *at = to + t * (below ? shape.width : lanes);
            if (left >= lanes) {
                *reinterpret_cast<Vector *>(at) = sum[o][t];
            } else {
                for (int64_t x = 0; x < left; ++x) {
                    at[x] = sum[o][t][x];
                }
            }
        }
    }
}

// A row, vectors by vectors.
template <int edge>
void convolve_row(const Convolution &shape, const float *source, const float *weights, float *target, int64_t outs) {
    for (int64_t x = 0; x < shape.width; x += widest * lanes) {
        const int64_t left = shape.width - x;
        if (left > (widest - 1) * lanes) {
            tile<edge, widest, false>(shape, source + x, weights, target + x, outs, left);
        } else if (widest > 2 && left > lanes) {
            tile<edge, 2, false>(shape, source + x, weights, target + x, outs, left);
        } else {
            tile<edge, 1, false>(shape, source + x, weights, target + x, outs, left);
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
    // The weights of all channels go by for a band; of a narrow picture they are more than its rows.
    const int64_t fewest = shape.width <= 16 ? 8 : 1, rows = fitting > fewest ? fitting : fewest;
    for (int64_t first = from; first < to; first += rows) {
        const int64_t last = first + rows < to ? first + rows : to;
        for (int64_t o = 0; o < shape.out_channels; o += block) {
            const float *weights = packed + o / block * size;
            const int64_t outs = shape.out_channels - o;
            int64_t y = first;
            const auto target = [&] { return out + (o * shape.height + y) * shape.width; };
            for (; shape.width <= lanes && y + widest <= last; y += widest) {
                tile<edge, widest, true>(shape, padded + y * line, weights, target(), outs, shape.width);
            }
            for (; y < last; ++y) {
                convolve_row<edge>(shape, padded + y * line, weights, target(), outs);
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
