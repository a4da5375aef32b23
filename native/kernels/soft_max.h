/* Exponentials of a row of numbers, sixteen at a time with every instruction set, so that sums have the same bits. Part of
 * attention.cpp, which is compiled once for each of them; everything has internal linkage.
 */
#ifndef SDPY_KERNELS_SOFT_MAX_H
#define SDPY_KERNELS_SOFT_MAX_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/dot.h"

namespace {

constexpr int sixteen = 16, parts = sixteen / lanes;
/* Below it an exponential is zero here; float32 would have some more, less than 1e-37. */
constexpr float least_exponent = -87.0f;

/* The larger; where one is no number, the second. */
#ifdef __AVX512F__
inline Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
inline Floats rounded(Floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Floats power_of_two(Floats n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), all(127)), 23));
}
inline Floats zero_below(Floats x, Floats least, Floats y) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, least, _CMP_NLT_UQ), y);
}
#else
inline Floats larger(Floats a, Floats b) { return _mm256_max_ps(a, b); }
inline Floats rounded(Floats x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Floats power_of_two(Floats n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), all(127)), 23));
}
inline Floats zero_below(Floats x, Floats least, Floats y) {
    return _mm256_and_ps(_mm256_cmp_ps(x, least, _CMP_NLT_UQ), y);
}
#endif

/* Of numbers that are not above zero; what is no number stays none. The series of the rest after whole powers of two, which
 * is at most 0.35, is exact to float32 after eight terms. */
inline Floats exponential(Floats x) {
    const Floats least = all(least_exponent), kept = larger(least, x);
    const Floats n = rounded(kept * all(1.44269504f));
    Floats rest = product_taken(n, all(0.693359375f), kept);
    rest = product_taken(n, all(-2.12194440e-4f), rest);
    Floats y = all(1.0f / 5040);
    const float terms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
#pragma GCC unroll 7
    for (int i = 0; i < 7; ++i) {
        y = product_added(y, rest, all(terms[i]));
    }
    return zero_below(x, least, y * power_of_two(n));
}

inline float exponential_of(float x) { return exponential(all(x))[0]; }

/* Numbers times `scale`, with a mask added where there is one, and minus infinity behind the last, up to a multiple of
 * sixteen. Returns the highest, or minus infinity. */
inline float scale_row(float *row, int64_t count, float scale, const float *mask) {
    int64_t i = 0;
    Floats highest = all(-__builtin_inff());
    for (; i + lanes <= count; i += lanes) {
        Floats x = load(static_cast<const float *>(row + i)) * all(scale);
        x = mask != nullptr ? x + load(mask + i) : x;
        store(row + i, x);
        highest = larger(x, highest);
    }
    float most = highest[0];
    for (int lane = 1; lane < lanes; ++lane) {
        most = highest[lane] > most ? highest[lane] : most;
    }
    for (; i < count; ++i) {
        row[i] = row[i] * scale + (mask != nullptr ? mask[i] : 0.0f);
        most = row[i] > most ? row[i] : most;
    }
    for (; i % sixteen != 0; ++i) {
        row[i] = -__builtin_inff();
    }
    return most;
}

/* Exponentials of what the numbers are less than `highest`, in their place; returns their sum. */
inline float exponentials(float *row, int64_t count, float highest) {
    Floats sums[parts] = {};
    for (int64_t i = 0; i < count; i += sixteen) {
        for (int part = 0; part < parts; ++part) {
            float *at = row + i + part * lanes;
            const Floats x = exponential(load(static_cast<const float *>(at)) - all(highest));
            store(at, x);
            sums[part] = sums[part] + x;
        }
    }
    float total = 0;
    for (int i = 0; i < sixteen; ++i) {
        total += sums[i / lanes][i % lanes];
    }
    return total;
}

}  // namespace

#endif
