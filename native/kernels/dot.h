/* Products of eight-bit numbers, added up in groups of four: what differs between the instruction sets. Part of
 * product.cpp, which is compiled once for each of them; everything has internal linkage.
 */
#ifndef SDPY_KERNELS_DOT_H
#define SDPY_KERNELS_DOT_H

#include <immintrin.h>
#include <stdint.h>

namespace {

#ifdef __AVX512F__
constexpr int lanes = 16;
using Floats = __m512;
using Integers = __m512i;
inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Integers all(int32_t x) { return _mm512_set1_epi32(x); }
inline Floats load(const float *from) { return _mm512_loadu_ps(from); }
inline Integers load(const void *from) { return _mm512_loadu_si512(from); }
inline void store(float *to, Floats x) { _mm512_storeu_ps(to, x); }
inline Integers add_32(Integers a, Integers b) { return _mm512_add_epi32(a, b); }
inline Floats to_floats(Integers x) { return _mm512_cvtepi32_ps(x); }
inline Floats product_added(Floats a, Floats b, Floats sum) { return _mm512_fmadd_ps(a, b, sum); }
inline Floats product_taken(Floats a, Floats b, Floats sum) { return _mm512_fnmadd_ps(a, b, sum); }
#else
constexpr int lanes = 8;
using Floats = __m256;
using Integers = __m256i;
inline Floats all(float x) { return _mm256_set1_ps(x); }
inline Integers all(int32_t x) { return _mm256_set1_epi32(x); }
inline Floats load(const float *from) { return _mm256_loadu_ps(from); }
inline Integers load(const void *from) { return _mm256_loadu_si256(static_cast<const __m256i *>(from)); }
inline void store(float *to, Floats x) { _mm256_storeu_ps(to, x); }
inline Integers add_32(Integers a, Integers b) { return _mm256_add_epi32(a, b); }
inline Floats to_floats(Integers x) { return _mm256_cvtepi32_ps(x); }
inline Floats product_added(Floats a, Floats b, Floats sum) { return _mm256_fmadd_ps(a, b, sum); }
inline Floats product_taken(Floats a, Floats b, Floats sum) { return _mm256_fnmadd_ps(a, b, sum); }
#endif

/* Four activations, for every lane. */
inline Integers all_four(const int8_t *from) {
    int32_t four;
    __builtin_memcpy(&four, from, sizeof four);
    return all(four);
}

/* Sums of four products each: `products` begins them, `products_added` goes on, `fours` ends them. How many may be added up
 * before they must end depends on the bits of the weights. */
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

/* One instruction multiplies and adds up in 32 bits. Weights are the unsigned factor. */
constexpr bool signed_bytes = false;
constexpr int most_added(int) { return 1 << 10; }

template <int bits>
inline Integers products_added(Integers sum, Integers weights, Integers activations) {
#ifdef __AVX512VNNI__
    return _mm512_dpbusd_epi32(sum, weights, activations);
#else
    return _mm256_dpbusd_avx_epi32(sum, weights, activations);
#endif
}
template <int bits>
inline Integers products(Integers weights, Integers activations) {
    return products_added<bits>(all(0), weights, activations);
}
inline Integers fours(Integers sums) { return sums; }

#else

/* Without it, two products are added up in 16 bits, which hold the sums of several pairs if weights have few bits. Weights
 * of eight bits do not fit unless they give their sign to the activation. */
constexpr bool signed_bytes = true;
constexpr int most_added(int bits) { return bits == 8 ? 1 : 32767 / (((1 << bits) - 1) * 127 * 2); }

#ifdef __AVX512F__
inline Integers pairs(Integers weights, Integers activations) { return _mm512_maddubs_epi16(weights, activations); }
inline Integers add_16(Integers a, Integers b) { return _mm512_add_epi16(a, b); }
inline Integers fours(Integers pairs) { return _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)); }
inline Integers magnitude(Integers weights) { return _mm512_abs_epi8(weights); }
inline Integers with_sign_of(Integers activations, Integers weights) {
    return _mm512_mask_sub_epi8(activations, _mm512_movepi8_mask(weights), _mm512_setzero_si512(), activations);
}
#else
inline Integers pairs(Integers weights, Integers activations) { return _mm256_maddubs_epi16(weights, activations); }
inline Integers add_16(Integers a, Integers b) { return _mm256_add_epi16(a, b); }
inline Integers fours(Integers pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
inline Integers magnitude(Integers weights) { return _mm256_abs_epi8(weights); }
inline Integers with_sign_of(Integers activations, Integers weights) { return _mm256_sign_epi8(activations, weights); }
#endif

template <int bits>
inline Integers products(Integers weights, Integers activations) {
    return bits == 8 ? pairs(magnitude(weights), with_sign_of(activations, weights)) : pairs(weights, activations);
}
template <int bits>
inline Integers products_added(Integers sum, Integers weights, Integers activations) {
    return add_16(sum, products<bits>(weights, activations));
}

#endif

}  // namespace

#endif
