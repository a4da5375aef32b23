/* Products of float weights and float activations, by panels: weights of float32, float16 and bfloat16, and what a LoRA adds
 * to any product. Part of product.cpp, which is compiled once for each instruction set; everything has internal linkage.
 */
#ifndef SDPY_KERNELS_FLOAT_PRODUCT_H
#define SDPY_KERNELS_FLOAT_PRODUCT_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/dot.h"

namespace {

constexpr int float_vectors = 2, float_panel = float_vectors * lanes; /* outputs side by side */
constexpr int float_depth = 256;                                      /* inputs in a panel */
/* Panels that lie in a core's second cache together: activations come past all of them for one reading. */
constexpr int float_panels = 4, float_block = float_panels * float_panel;
/* Tokens that are computed together: as many as the registers hold. */
#ifdef __AVX512F__
constexpr int float_rows = 12;
#else
constexpr int float_rows = 6;
#endif

/* Rows of a panel, one for each input. */
using PanelRow = float[float_panel];
using FloatPanel = PanelRow[float_depth];

/* Eight numbers of a row, and one. */
struct F32 {
    using Number = float;
    static __m256 eight(const Number *from) { return _mm256_loadu_ps(from); }
    static float one(Number number) { return number; }
};

struct F16 {
    using Number = uint16_t;
    static __m256 eight(const Number *from) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
    }
    static float one(Number number) { return _cvtsh_ss(number); }
};

struct Bf16 {
    using Number = uint16_t;
    static __m256 eight(const Number *from) {
        const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
        return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
    }
    static float one(Number number) {
        const uint32_t bits = static_cast<uint32_t>(number) << 16;
        float value;
        __builtin_memcpy(&value, &bits, sizeof value);
        return value;
    }
};

/* Eight rows of eight numbers become eight columns, in a panel whose rows are `float_panel` apart. */
inline void turn_eight(const __m256 (&rows)[8], float *to) {
    __m256 pairs[8], fours[8];
    for (int i = 0; i < 4; ++i) {
        pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        const __m256 *from = pairs + 4 * i;
        fours[4 * i] = _mm256_shuffle_ps(from[0], from[2], _MM_SHUFFLE(1, 0, 1, 0));
        fours[4 * i + 1] = _mm256_shuffle_ps(from[0], from[2], _MM_SHUFFLE(3, 2, 3, 2));
        fours[4 * i + 2] = _mm256_shuffle_ps(from[1], from[3], _MM_SHUFFLE(1, 0, 1, 0));
        fours[4 * i + 3] = _mm256_shuffle_ps(from[1], from[3], _MM_SHUFFLE(3, 2, 3, 2));
    }
    for (int i = 0; i < 4; ++i) {
        _mm256_storeu_ps(to + i * float_panel, _mm256_permute2f128_ps(fours[i], fours[4 + i], 0x20));
        _mm256_storeu_ps(to + (4 + i) * float_panel, _mm256_permute2f128_ps(fours[i], fours[4 + i], 0x31));
    }
}

/* Lays `count` numbers of `rows` rows, which are `stride` numbers apart, side by side; zeros where a panel has more. */
template <class Type>
void pack_floats(const typename Type::Number *weights, int64_t stride, int64_t rows, int64_t count, PanelRow *panel) {
    for (int64_t out = 0; out < float_panel; out += 8) {
        int64_t i = 0;
        if (out + 8 <= rows) {
            for (; i + 8 <= count; i += 8) {
                __m256 eight[8];
                for (int row = 0; row < 8; ++row) {
                    eight[row] = Type::eight(weights + (out + row) * stride + i);
                }
                turn_eight(eight, &panel[i][out]);
            }
        }
        for (; i < count; ++i) {
            for (int row = 0; row < 8; ++row) {
                panel[i][out + row] = out + row < rows ? Type::one(weights[(out + row) * stride + i]) : 0;
            }
        }
    }
}

/* Some tokens' activations times a panel, added to what they have or not. Of the panel's outputs the first vectors. */
template <int rows, int vectors>
inline void float_tile(const PanelRow *panel, const float *activations, int64_t stride, int64_t count, float *sums,
                       int64_t sums_stride, bool added) {
    Floats total[rows][vectors];
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
            total[r][v] = added ? load(static_cast<const float *>(sums + r * sums_stride + v * lanes)) : all(0.0f);
        }
    }
    for (int64_t i = 0; i < count; ++i) {
        Floats weights[vectors];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
            weights[v] = load(static_cast<const float *>(panel[i] + v * lanes));
        }
#pragma GCC unroll 12
        for (int r = 0; r < rows; ++r) {
            const Floats activation = all(activations[r * stride + i]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v) {
                total[r][v] = product_added(activation, weights[v], total[r][v]);
            }
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
            store(sums + r * sums_stride + v * lanes, total[r][v]);
        }
    }
}

/* The same where the result has `outs` columns left, which may be fewer than the panel's. */
template <int rows>
inline void float_tile_of(const PanelRow *panel, const float *activations, int64_t stride, int64_t count, float *sums,
                          int64_t sums_stride, int64_t outs, bool added) {
    if (outs >= float_panel) {
        float_tile<rows, float_vectors>(panel, activations, stride, count, sums, sums_stride, added);
        return;
    }
    if (outs == lanes) {
        float_tile<rows, 1>(panel, activations, stride, count, sums, sums_stride, added);
        return;
    }
    alignas(64) float some[rows][float_panel] = {};
    for (int r = 0; added && r < rows; ++r) {
        __builtin_memcpy(some[r], sums + r * sums_stride, outs * sizeof(float));
    }
    float_tile<rows, float_vectors>(panel, activations, stride, count, some[0], float_panel, added);
    for (int r = 0; r < rows; ++r) {
        __builtin_memcpy(sums + r * sums_stride, some[r], outs * sizeof(float));
    }
}

/* Tokens by tokens past as many panels as `outs` columns need. */
template <int rows>
void float_tiles(const FloatPanel *panels, const float *activations, int64_t stride, int64_t tokens, int64_t count,
                 float *sums, int64_t sums_stride, int64_t outs, bool added) {
    for (; tokens >= rows; tokens -= rows, activations += rows * stride, sums += rows * sums_stride) {
        for (int64_t out = 0; out < outs; out += float_panel) {
            float_tile_of<rows>(panels[out / float_panel], activations, stride, count, sums + out, sums_stride,
                                outs - out, added);
        }
    }
    if constexpr (rows > 1) {
        float_tiles<rows - 1>(panels, activations, stride, tokens, count, sums, sums_stride, outs, added);
    }
}

/* Float numbers (rows, inputs), whose rows are `stride` numbers apart. */
template <class Number>
struct Rows {
    const Number *numbers;
    int64_t stride;

    const Number *at(int64_t row, int64_t column) const { return numbers + row * stride + column; }
};

/* Weights (outs, inputs) times activations (tokens, inputs) into, or added to, sums (tokens, outs) whose rows are
 * `sums_stride` apart; outs: at most `wide` panels of outputs. */
template <class Type, int wide>
void multiply_floats(Rows<typename Type::Number> weights, int64_t inputs, int64_t outs, Rows<float> activations,
                     int64_t tokens, float *sums, int64_t sums_stride, bool added) {
    alignas(64) FloatPanel panels[wide];
    for (int64_t begin = 0; begin < inputs; begin += float_depth) {
        const int64_t count = inputs - begin < float_depth ? inputs - begin : float_depth;
        for (int64_t out = 0; out < outs; out += float_panel) {
            const int64_t rows = outs - out < float_panel ? outs - out : float_panel;
            pack_floats<Type>(weights.at(out, begin), weights.stride, rows, count, panels[out / float_panel]);
        }
        float_tiles<float_rows>(panels, activations.at(0, begin), activations.stride, tokens, count, sums, sums_stride,
                                outs, added || begin > 0);
    }
}

}  // namespace

#endif
