/* Quantized weights as numbers of eight bits or fewer: for each type of ggml's, a group of 16 or 32 weights at a time. Part of
 * product.cpp, which is compiled once for each instruction set; everything has internal linkage.
 */
#ifndef SDPY_KERNELS_UNPACK_H
#define SDPY_KERNELS_UNPACK_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/dot.h"

#define GGML_COMMON_DECL_C
#define GGML_COMMON_IMPL_C
#include "ggml-common.h"

namespace {

/* Bytes of two numbers each: the lower halves first, then the upper ones. */
template <int bytes>
inline void unpack_nibbles(const uint8_t *nibbles, uint8_t *numbers) {
    for (int i = 0; i < bytes; ++i) {
        numbers[i] = nibbles[i] & 15;
        numbers[i + bytes] = nibbles[i] >> 4;
    }
}

/* What a type is made of. `weights`: in a block of the file. `group`: weights that share a scale. `bits`: of a number.
 * `zero`: the number that stands for zero, or -1 where there are minima.
 * `unpack` writes a block's numbers, and the scale and minimum of each of its groups. */
struct Q4_0 {
    using Block = block_q4_0;
    static constexpr int weights = 32, group = 32, bits = 4, zero = 8;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *) {
        unpack_nibbles<16>(block.qs, numbers);
        scales[0] = _cvtsh_ss(block.d);
    }
};

struct Q4_1 {
    using Block = block_q4_1;
    static constexpr int weights = 32, group = 32, bits = 4, zero = -1;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *minima) {
        unpack_nibbles<16>(block.qs, numbers);
        scales[0] = _cvtsh_ss(block.d);
        minima[0] = -_cvtsh_ss(block.m);
    }
};

/* The fifth bits of 32 numbers, one after the other, put on top of their nibbles. */
inline void unpack_five_bits(const uint8_t *nibbles, const uint8_t *fifth, uint8_t *numbers) {
    for (int i = 0; i < 16; ++i) {
        const int low = fifth[i / 8] >> i % 8 & 1, high = fifth[2 + i / 8] >> i % 8 & 1;
        numbers[i] = static_cast<uint8_t>((nibbles[i] & 15) | low << 4);
        numbers[i + 16] = static_cast<uint8_t>(nibbles[i] >> 4 | high << 4);
    }
}

struct Q5_0 {
    using Block = block_q5_0;
    static constexpr int weights = 32, group = 32, bits = 5, zero = 16;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *) {
        unpack_five_bits(block.qs, block.qh, numbers);
        scales[0] = _cvtsh_ss(block.d);
    }
};

struct Q5_1 {
    using Block = block_q5_1;
    static constexpr int weights = 32, group = 32, bits = 5, zero = -1;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *minima) {
        unpack_five_bits(block.qs, block.qh, numbers);
        scales[0] = _cvtsh_ss(block.d);
        minima[0] = -_cvtsh_ss(block.m);
    }
};

struct Q8_0 {
    using Block = block_q8_0;
    static constexpr int weights = 32, group = 32, bits = 8, zero = 128;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *) {
        for (int i = 0; i < 32; ++i) {
            numbers[i] = static_cast<uint8_t>(signed_bytes ? block.qs[i] : block.qs[i] + 128);
        }
        scales[0] = _cvtsh_ss(block.d);
    }
};

/* Nibbles that number the sixteen levels of a table, which are signed. */
inline void unpack_levels(const uint8_t *nibbles, uint8_t *numbers) {
    unpack_nibbles<16>(nibbles, numbers);
    for (int i = 0; i < 32; ++i) {
        const int8_t level = kvalues_iq4nl[numbers[i]];
        numbers[i] = static_cast<uint8_t>(signed_bytes ? level : level + 128);
    }
}

struct Iq4_nl {
    using Block = block_iq4_nl;
    static constexpr int weights = 32, group = 32, bits = 8, zero = 128;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *) {
        unpack_levels(block.qs, numbers);
        scales[0] = _cvtsh_ss(block.d);
    }
};

struct Iq4_xs {
    using Block = block_iq4_xs;
    static constexpr int weights = 256, group = 32, bits = 8, zero = 128;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *) {
        const float scale = _cvtsh_ss(block.d);
        for (int i = 0; i < 8; ++i) {
            unpack_levels(block.qs + 16 * i, numbers + 32 * i);
            // Six bits, 32 of which stand for zero: four in nibbles, two in pairs of bits of their own.
            const int low = block.scales_l[i / 2] >> i % 2 * 4 & 15, high = block.scales_h >> 2 * i & 3;
            scales[i] = scale * static_cast<float>((low | high << 4) - 32);
        }
    }
};

/* Pairs of bits, 128 numbers of which lie in 32 bytes: the lowest pair has the first 32, and so on. */
inline void unpack_pairs(const uint8_t *pairs, uint8_t *numbers) {
    for (int pair = 0; pair < 4; ++pair) {
        for (int i = 0; i < 32; ++i) {
            numbers[32 * pair + i] = pairs[i] >> 2 * pair & 3;
        }
    }
}

struct Q2_K {
    using Block = block_q2_K;
    static constexpr int weights = 256, group = 16, bits = 2, zero = -1;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *minima) {
        unpack_pairs(block.qs, numbers);
        unpack_pairs(block.qs + 32, numbers + 128);
        const float scale = _cvtsh_ss(block.d), minimum = _cvtsh_ss(block.dmin);
        for (int i = 0; i < 16; ++i) {
            scales[i] = scale * static_cast<float>(block.scales[i] & 15);
            minima[i] = minimum * static_cast<float>(block.scales[i] >> 4);
        }
    }
};

struct Q3_K {
    using Block = block_q3_K;
    static constexpr int weights = 256, group = 16, bits = 3, zero = 4;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *) {
        unpack_pairs(block.qs, numbers);
        unpack_pairs(block.qs + 32, numbers + 128);
        for (int i = 0; i < 256; ++i) {
            numbers[i] = static_cast<uint8_t>(numbers[i] | (block.hmask[i % 32] >> i / 32 & 1) << 2);
        }
        const float scale = _cvtsh_ss(block.d);
        for (int i = 0; i < 16; ++i) {
            // Six bits, 32 of which stand for zero: nibbles, eight low ones first, and a pair of bits for each.
            const int low = block.scales[i % 8] >> i / 8 * 4 & 15, high = block.scales[8 + i % 4] >> i / 4 * 2 & 3;
            scales[i] = scale * static_cast<float>((low | high << 4) - 32);
        }
    }
};

/* Scales and minima of eight groups, six bits each: four of each in six bits of a byte of their own, four of each in the
 * nibbles of the last bytes and the two bits that the first left free. */
inline void unpack_super_block(const uint8_t *packed, float scale, float minimum, float *scales, float *minima) {
    for (int i = 0; i < 4; ++i) {
        scales[i] = scale * static_cast<float>(packed[i] & 63);
        minima[i] = minimum * static_cast<float>(packed[i + 4] & 63);
        scales[i + 4] = scale * static_cast<float>((packed[i + 8] & 15) | packed[i] >> 6 << 4);
        minima[i + 4] = minimum * static_cast<float>(packed[i + 8] >> 4 | packed[i + 4] >> 6 << 4);
    }
}

struct Q4_K {
    using Block = block_q4_K;
    static constexpr int weights = 256, group = 32, bits = 4, zero = -1;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *minima) {
        for (int pair = 0; pair < 4; ++pair) {
            unpack_nibbles<32>(block.qs + pair * 32, numbers + pair * 64);
        }
        unpack_super_block(block.scales, _cvtsh_ss(block.d), _cvtsh_ss(block.dmin), scales, minima);
    }
};

struct Q5_K {
    using Block = block_q5_K;
    static constexpr int weights = 256, group = 32, bits = 5, zero = -1;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *minima) {
        for (int pair = 0; pair < 4; ++pair) {
            for (int i = 0; i < 32; ++i) {
                const int nibbles = block.qs[pair * 32 + i], fifth = block.qh[i] >> 2 * pair;
                numbers[pair * 64 + i] = static_cast<uint8_t>((nibbles & 15) | (fifth & 1) << 4);
                numbers[pair * 64 + 32 + i] = static_cast<uint8_t>(nibbles >> 4 | (fifth & 2) << 3);
            }
        }
        unpack_super_block(block.scales, _cvtsh_ss(block.d), _cvtsh_ss(block.dmin), scales, minima);
    }
};

struct Q6_K {
    using Block = block_q6_K;
    static constexpr int weights = 256, group = 16, bits = 6, zero = 32;

    static void unpack(const Block &block, uint8_t *numbers, float *scales, float *) {
        for (int half = 0; half < 2; ++half, numbers += 128) {
            const uint8_t *low = block.ql + half * 64, *high = block.qh + half * 32;
            for (int i = 0; i < 32; ++i) {
                numbers[i] = static_cast<uint8_t>((low[i] & 15) | (high[i] & 3) << 4);
                numbers[i + 32] = static_cast<uint8_t>((low[i + 32] & 15) | (high[i] >> 2 & 3) << 4);
                numbers[i + 64] = static_cast<uint8_t>(low[i] >> 4 | (high[i] >> 4 & 3) << 4);
                numbers[i + 96] = static_cast<uint8_t>(low[i + 32] >> 4 | high[i] >> 6 << 4);
            }
        }
        const float scale = _cvtsh_ss(block.d);
        for (int i = 0; i < 16; ++i) {
            scales[i] = scale * static_cast<float>(block.scales[i]);
        }
    }
};

}  // namespace

#endif
