// Compiled once for AVX2 and once for AVX-512: SDPY_KERNELS is the name of the table.
#include "kernels/winograd.h"

#include <immintrin.h>

namespace {

using sdpy::Convolution;
using sdpy::transformed;

#ifdef __AVX512F__
constexpr int lanes = 16, rows = 12;  // 24 of 32 registers add up
#else
constexpr int lanes = 8, rows = 6;  // 12 of 16
#endif
constexpr int vectors = 2, block = vectors * lanes, edge = 6;

typedef float Vector __attribute__((vector_size(lanes * sizeof(float)), aligned(sizeof(float)), may_alias));

inline Vector load(const float *from) { return *reinterpret_cast<const Vector *>(from); }
inline void store(float *to, Vector x) { *reinterpret_cast<Vector *>(to) = x; }

// The transposed matrix B of the paper, times a column of a tile.
inline void to_transformed(const Vector (&d)[edge], Vector (&t)[edge]) {
    const Vector even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
    const Vector near = d[4] - d[2], far = 2 * (d[3] - d[1]);
    t[0] = 4 * d[0] - 5 * d[2] + d[4];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = near + far;
    t[4] = near - far;
    t[5] = 4 * d[1] - 5 * d[3] + d[5];
}

// The transposed matrix A, times a column of sums.
inline void from_transformed(const Vector (&m)[edge], Vector (&y)[4]) {
    const Vector sum = m[1] + m[2], difference = m[1] - m[2], far_sum = m[3] + m[4], far_difference = m[3] - m[4];
    y[0] = m[0] + sum + far_sum;
    y[1] = difference + 2 * far_difference;
    y[2] = sum + 4 * far_sum;
    y[3] = difference + 8 * far_difference + m[5];
}

// The matrix G, times a column of weights.
inline void transform_weights(const Vector (&g)[3], Vector (&u)[edge]) {
    const Vector even = (g[0] + g[2]) / 6, odd = g[1] / 6;
    const Vector far_even = g[0] / 24 + g[2] / 6, far_odd = g[1] / 12;
    u[0] = g[0] / 4;
    u[1] = -even - odd;
    u[2] = odd - even;
    u[3] = far_even + far_odd;
    u[4] = far_even - far_odd;
    u[5] = g[2];
}

// Four rows of four floats, `from_stride` apart, as columns.
inline void transpose_4(const float *from, int64_t from_stride, float *to, int64_t to_stride) {
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_stride);
    __m128 c = _mm_loadu_ps(from + 2 * from_stride), d = _mm_loadu_ps(from + 3 * from_stride);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + to_stride, b);
    _mm_storeu_ps(to + 2 * to_stride, c);
    _mm_storeu_ps(to + 3 * to_stride, d);
}

void pad(const Convolution &shape, const char *picture, int64_t row, int64_t plane, float *padded, int64_t from,
         int64_t to) {
    const int64_t width = sdpy::tiled_width(shape), pixel_size = sdpy::spaced(shape.channels);
    const int64_t pixel_bytes = pixel_size * static_cast<int64_t>(sizeof(float));
    for (int64_t y = from; y < to; ++y) {
        float *line = padded + y * width * pixel_size;
        const bool inside = y > 0 && y <= shape.height;
        if (!inside || sdpy::filled_up(shape.channels) > shape.channels || width != shape.width + 2) {
            __builtin_memset(line, 0, static_cast<size_t>(width * pixel_bytes));
        } else {  // all but the border is written
            __builtin_memset(line, 0, static_cast<size_t>(pixel_bytes));
            __builtin_memset(line + (width - 1) * pixel_size, 0, static_cast<size_t>(pixel_bytes));
        }
        if (!inside) {
            continue;
        }
        const char *source = picture + (y - 1) * row;
        const auto pixel = [&](int64_t channel) { return reinterpret_cast<const float *>(source + channel * plane); };
        int64_t x = 0;
        for (; x + 4 <= shape.width; x += 4) {
            int64_t channel = 0;
            for (; channel + 4 <= shape.channels; channel += 4) {
                transpose_4(pixel(channel) + x, plane / static_cast<int64_t>(sizeof(float)),
                            line + (x + 1) * pixel_size + channel, pixel_size);
            }
            for (; channel < shape.channels; ++channel) {
                for (int64_t i = x; i < x + 4; ++i) {
                    line[(i + 1) * pixel_size + channel] = pixel(channel)[i];
                }
            }
        }
        for (; x < shape.width; ++x) {
            for (int64_t channel = 0; channel < shape.channels; ++channel) {
                line[(x + 1) * pixel_size + channel] = pixel(channel)[x];
            }
        }
    }
}

// Nine weights of one channel, for `lanes` out channels.
inline void gather_weights(const Convolution &shape, const void *weights, bool half, int64_t out, int64_t channel,
                           float (&g)[9][lanes]) {
    for (int lane = 0; lane < lanes; ++lane) {
        const int64_t at = ((out + lane) * shape.channels + channel) * 9;
        const bool inside = out + lane < shape.out_channels;
        for (int i = 0; i < 9; ++i) {
            g[i][lane] = !inside ? 0.0f
                         : half  ? _cvtsh_ss(static_cast<const uint16_t *>(weights)[at + i])
                                 : static_cast<const float *>(weights)[at + i];
        }
    }
}

void pack(const Convolution &shape, const void *weights, bool half, float *packed, int64_t from, int64_t to) {
    const int64_t filled = sdpy::filled_up(shape.channels);
    for (int64_t out = from * block; out < to * block; out += lanes) {
        for (int64_t channel = 0; channel < filled; ++channel) {
            alignas(64) float g[9][lanes] = {};
            if (channel < shape.channels) {
                gather_weights(shape, weights, half, out, channel, g);
            }
            Vector half_way[edge][3];
            for (int column = 0; column < 3; ++column) {
                const Vector one[3] = {load(g[column]), load(g[3 + column]), load(g[6 + column])};
                Vector u[edge];
                transform_weights(one, u);
                for (int i = 0; i < edge; ++i) {
                    half_way[i][column] = u[i];
                }
            }
            float *to_block =
                packed + out / block * transformed * sdpy::weights_size(shape, block) + channel * block + out % block;
            for (int i = 0; i < edge; ++i) {
                Vector u[edge];
                transform_weights(half_way[i], u);
                for (int j = 0; j < edge; ++j) {
                    store(to_block + (i * edge + j) * sdpy::weights_size(shape, block), u[j]);
                }
            }
        }
    }
}

// Tiles (36, tiles, channels) of the picture.
void transform_tiles(const Convolution &shape, const float *padded, float *tiles, int64_t from, int64_t to) {
    const int64_t columns = sdpy::tile_columns(shape), filled = sdpy::filled_up(shape.channels);
    const int64_t pixel_size = sdpy::spaced(shape.channels), width = sdpy::tiled_width(shape), count = to - from;
    for (int64_t t = 0; t < count; ++t) {
        const int64_t y = (from + t) / columns * sdpy::tile_edge, x = (from + t) % columns * sdpy::tile_edge;
        for (int64_t channel = 0; channel < filled; channel += lanes) {
            const float *source = padded + (y * width + x) * pixel_size + channel;
            Vector half_way[edge][edge];
            for (int j = 0; j < edge; ++j) {
                Vector d[edge], v[edge];
                for (int i = 0; i < edge; ++i) {
                    d[i] = load(source + (i * width + j) * pixel_size);
                }
                to_transformed(d, v);
                for (int i = 0; i < edge; ++i) {
                    half_way[i][j] = v[i];
                }
            }
            for (int i = 0; i < edge; ++i) {
                Vector v[edge];
                to_transformed(half_way[i], v);
                for (int j = 0; j < edge; ++j) {
                    store(tiles + ((i * edge + j) * count + t) * pixel_size + channel, v[j]);
                }
            }
        }
    }
}

// Sums over the channels of some tiles' numbers and a block of out channels' weights.
template <int count>
inline void add_up(const float *tiles, int64_t channels, const float *weights, float *sums, int64_t stride,
                   int64_t outs) {
    Vector sum[count][vectors] = {};
    for (int64_t channel = 0; channel < channels; ++channel, weights += block) {
        Vector weight[vectors];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
            weight[v] = load(weights + v * lanes);
        }
#pragma GCC unroll 12
        for (int t = 0; t < count; ++t) {
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v) {
                sum[t][v] += weight[v] * tiles[t * stride + channel];
            }
        }
    }
#pragma GCC unroll 12
    for (int t = 0; t < count; ++t) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
            store(sums + t * outs + v * lanes, sum[t][v]);
        }
    }
}

template <int count>
inline void add_up_rest(int64_t tiles_left, const float *tiles, int64_t channels, const float *weights, float *sums,
                        int64_t stride, int64_t outs) {
    if (tiles_left == count) {
        add_up<count>(tiles, channels, weights, sums, stride, outs);
    } else if constexpr (count > 1) {
        add_up_rest<count - 1>(tiles_left, tiles, channels, weights, sums, stride, outs);
    }
}

// Sums (36, tiles, out channels).
void multiply(const Convolution &shape, const float *tiles, const float *packed, float *sums, int64_t count) {
    const int64_t filled = sdpy::filled_up(shape.channels), blocks = sdpy::filled_up(shape.out_channels) / block;
    const int64_t stride = sdpy::spaced(shape.channels), outs = sdpy::spaced(shape.out_channels);
    const int64_t weights_size = sdpy::weights_size(shape, block);
    for (int k = 0; k < transformed; ++k) {
        const float *numbers = tiles + k * count * stride;
        for (int64_t b = 0; b < blocks; ++b) {
            const float *weights = packed + (b * transformed + k) * weights_size;
            float *to = sums + k * count * outs + b * block;
            int64_t t = 0;
            for (; t + rows <= count; t += rows) {
                add_up<rows>(numbers + t * stride, filled, weights, to + t * outs, stride, outs);
            }
            if (t < count) {
                add_up_rest<rows - 1>(count - t, numbers + t * stride, filled, weights, to + t * outs, stride, outs);
            }
        }
    }
}

// 4x4 pixels of `lanes` channels, pixel by pixel, to their places in the result.
void write_tile(const Convolution &shape, const float (&pixels)[16][lanes], float *out, int64_t channel, int64_t y,
                int64_t x) {
    const int64_t plane = shape.height * shape.width;
    const int64_t height = shape.height - y < 4 ? shape.height - y : 4,
                  width = shape.width - x < 4 ? shape.width - x : 4;
    const int64_t channels = shape.out_channels - channel < lanes ? shape.out_channels - channel : lanes;
    for (int64_t i = 0; i < height; ++i) {
        float *to = out + channel * plane + (y + i) * shape.width + x;
        int64_t c = 0;
        for (; width == 4 && c + 4 <= channels; c += 4) {
            transpose_4(&pixels[4 * i][c], lanes, to + c * plane, plane);
        }
        for (; c < channels; ++c) {
            for (int64_t j = 0; j < width; ++j) {
                to[c * plane + j] = pixels[4 * i + j][c];
            }
        }
    }
}

void transform_back(const Convolution &shape, const float *sums, float *out, int64_t from, int64_t to) {
    const int64_t columns = sdpy::tile_columns(shape), outs = sdpy::spaced(shape.out_channels), count = to - from;
    for (int64_t t = 0; t < count; ++t) {
        const int64_t y = (from + t) / columns * sdpy::tile_edge, x = (from + t) % columns * sdpy::tile_edge;
        for (int64_t channel = 0; channel < shape.out_channels; channel += lanes) {
            Vector half_way[4][edge];
            for (int j = 0; j < edge; ++j) {
                Vector m[edge], v[4];
                for (int i = 0; i < edge; ++i) {
                    m[i] = load(sums + ((i * edge + j) * count + t) * outs + channel);
                }
                from_transformed(m, v);
                for (int i = 0; i < 4; ++i) {
                    half_way[i][j] = v[i];
                }
            }
            alignas(64) float pixels[16][lanes];
            for (int i = 0; i < 4; ++i) {
                Vector v[4];
                from_transformed(half_way[i], v);
                for (int j = 0; j < 4; ++j) {
                    store(pixels[4 * i + j], v[j]);
                }
            }
            write_tile(shape, pixels, out, channel, y, x);
        }
    }
}

void convolve(const Convolution &shape, const float *padded, const float *packed, float *scratch, float *out,
              int64_t from, int64_t to) {
    float *sums = scratch + transformed * (to - from) * sdpy::spaced(shape.channels);
    transform_tiles(shape, padded, scratch, from, to);
    multiply(shape, scratch, packed, sums, to - from);
    transform_back(shape, sums, out, from, to);
}

}  // namespace

const sdpy::WinogradKernels sdpy::SDPY_KERNELS = {block, pad, pack, convolve};
