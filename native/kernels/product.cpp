// Compiled once for each instruction set: SDPY_KERNELS is the name of the table.
#include "kernels/product.h"

#include "kernels/dot.h"
#include "kernels/float_product.h"
#include "kernels/unpack.h"

namespace {

using sdpy::Product;

constexpr int vectors = 2, block = vectors * lanes;
static_assert(block == float_panel, "a LoRA is added to a block by one panel");
constexpr int depth = 512;         // inputs in a panel: with its share of activations it stays in a core's first cache
constexpr int most_tokens = 1024;  // that go by a panel: their sums stay in its second cache, and in a thread's stack

// Numbers of `block` rows of weights, four inputs of a row side by side, and their groups' scales and minima.
struct alignas(64) Panel {
    uint8_t numbers[depth / 4][block][4];
    float scales[depth / 16][block], minima[depth / 16][block];
};

// Where the three arrays of rounded activations begin (product.h).
struct Rounded {
    int8_t *numbers;
    float *scales;
    char *sums;

    Rounded(const Product &product, void *bytes)
        : numbers(static_cast<int8_t *>(bytes)),
          scales(reinterpret_cast<float *>(numbers + product.tokens * product.inputs)),
          sums(reinterpret_cast<char *>(scales + product.tokens * product.inputs / 32)) {}

    // The same from the activation of that number on.
    Rounded from(int64_t activation, int group) const {
        Rounded rest = *this;
        rest.numbers += activation;
        rest.scales += activation / 32;
        rest.sums += activation / group * 4;
        return rest;
    }
};

template <class Type>
constexpr int zero_of() {
    return signed_bytes && Type::bits == 8 ? 0 : Type::zero;
}

// Tokens that are computed together: as many as the registers hold.
#if defined(__AVX512VNNI__)
constexpr int rows_of_tile = 6;
#elif defined(__AVXVNNI__)
constexpr int rows_of_tile = 3;
#else
constexpr int rows_of_tile = 4;
#endif

template <class Type>
void unpack_panel(const Product &product, int64_t row, int64_t from, int64_t count, Panel &panel) {
    for (int out = 0; out < block; ++out) {
        const int64_t groups = count / Type::group;
        if (row + out >= product.outputs) {
            for (int64_t group = 0; group < groups; ++group) {
                panel.scales[group][out] = panel.minima[group][out] = 0;
            }
            continue;  // whatever numbers there are count nothing
        }
        const auto *blocks = reinterpret_cast<const typename Type::Block *>(static_cast<const char *>(product.weights) +
                                                                            (row + out) * product.row_bytes) +
                             from / Type::weights;
        for (int64_t i = 0; i < count / Type::weights; ++i) {
            alignas(64) uint8_t numbers[Type::weights];
            float scales[Type::weights / Type::group], minima[Type::weights / Type::group];
            Type::unpack(blocks[i], numbers, scales, minima);
            for (int four = 0; four < Type::weights / 4; ++four) {
                __builtin_memcpy(panel.numbers[i * Type::weights / 4 + four][out], numbers + 4 * four, 4);
            }
            for (int group = 0; group < Type::weights / Type::group; ++group) {
                panel.scales[i * Type::weights / Type::group + group][out] = scales[group];
                if (Type::zero < 0) {
                    panel.minima[i * Type::weights / Type::group + group][out] = minima[group];
                }
            }
        }
    }
}

// Sums of a group's products, for some tokens whose activations are `stride` apart.
template <class Type, int rows>
inline void sum_group(const uint8_t (*numbers)[block][4], const int8_t *activations, int64_t stride,
                      Integers (&sum)[rows][vectors]) {
    constexpr int steps = Type::group / 4, fold = most_added(Type::bits) < steps ? most_added(Type::bits) : steps;
#pragma GCC unroll 8
    for (int first = 0; first < steps; first += fold) {
        Integers some[rows][vectors];
#pragma GCC unroll 8
        for (int four = first; four < first + fold; ++four) {
            Integers weights[vectors];
            for (int v = 0; v < vectors; ++v) {
                weights[v] = load(numbers[four][v * lanes]);
            }
#pragma GCC unroll 6
            for (int r = 0; r < rows; ++r) {
                const Integers activation = all_four(activations + r * stride + 4 * four);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; ++v) {
                    some[r][v] = four == first ? products<Type::bits>(weights[v], activation)
                                               : products_added<Type::bits>(some[r][v], weights[v], activation);
                }
            }
        }
#pragma GCC unroll 6
        for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v) {
                sum[r][v] = first == 0 ? fours(some[r][v]) : add_32(sum[r][v], fours(some[r][v]));
            }
        }
    }
}

// Adds a panel's products with the activations of some tokens to `total`.
template <class Type, int rows>
inline void add_up(const Panel &panel, const Rounded &rounded, int64_t inputs, int64_t count,
                   Floats (&total)[rows][vectors]) {
    constexpr int zero = zero_of<Type>();
    const int64_t stride_32 = inputs / 32, stride = inputs / Type::group;
    for (int64_t group = 0; group < count / Type::group; ++group) {
        Integers sum[rows][vectors];
        sum_group<Type, rows>(panel.numbers + group * Type::group / 4, rounded.numbers + group * Type::group, inputs,
                              sum);
        const float *scale = rounded.scales + group * Type::group / 32;
        const auto *zeros = reinterpret_cast<const int32_t *>(rounded.sums) + group;
        const auto *minima = reinterpret_cast<const float *>(rounded.sums) + group;
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
            const Floats scales = load(panel.scales[group] + v * lanes);
#pragma GCC unroll 6
            for (int r = 0; r < rows; ++r) {
                const Integers exact = zero > 0 ? add_32(sum[r][v], all(zeros[r * stride])) : sum[r][v];
                total[r][v] = product_added(to_floats(exact), scales * all(scale[r * stride_32]), total[r][v]);
                if (zero < 0) {
                    const Floats minimum = load(panel.minima[group] + v * lanes);
                    total[r][v] = product_taken(minimum, all(minima[r * stride]), total[r][v]);
                }
            }
        }
    }
}

template <class Type, int rows>
void tile(const Panel &panel, const Rounded &rounded, int64_t inputs, int64_t count, float (*sums)[block], bool begun) {
    Floats total[rows][vectors] = {};
    add_up<Type, rows>(panel, rounded, inputs, count, total);
#pragma GCC unroll 6
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
            float *sum = sums[r] + v * lanes;
            store(sum, begun ? load(static_cast<const float *>(sum)) + total[r][v] : total[r][v]);
        }
    }
}

template <class Type, int rows>
void tiles(const Panel &panel, Rounded rounded, int64_t inputs, int64_t tokens, int64_t count, float (*sums)[block],
           bool begun) {
    for (; tokens >= rows; tokens -= rows, sums += rows) {
        tile<Type, rows>(panel, rounded, inputs, count, sums, begun);
        rounded = rounded.from(rows * inputs, Type::group);
    }
    if constexpr (rows > 1) {
        tiles<Type, rows - 1>(panel, rounded, inputs, tokens, count, sums, begun);
    }
}

// What a LoRA adds to the sums of some outputs and tokens, whose rows are `stride` apart.
template <int wide>
void add_low_rank(const Product &product, int64_t row, int64_t outs, int64_t first, int64_t last, float *sums,
                  int64_t stride) {
    const int64_t rank = product.rank;
    if (rank > 0) {
        multiply_floats<F32, wide>({product.up + row * rank, rank}, rank, outs, {product.inner + first * rank, rank},
                                   last - first, sums, stride, true);
    }
}

// A block of outputs from `row` on, for tokens `first` to `last`, at most `most_tokens`. Their sums stay together until all
// inputs went by: in the result, one token's lie pages away from the next one's.
template <class Type>
void multiply_block(const Product &product, const Rounded &rounded, float *out, int64_t row, int64_t first,
                    int64_t last) {
    const int64_t inputs = product.inputs, outs = product.outputs - row < block ? product.outputs - row : block;
    Panel panel;
    alignas(64) float sums[most_tokens][block];
    for (int64_t begin = 0; begin < inputs; begin += depth) {
        const int64_t count = inputs - begin < depth ? inputs - begin : depth;
        unpack_panel<Type>(product, row, begin, count, panel);
        tiles<Type, rows_of_tile>(panel, rounded.from(first * inputs + begin, Type::group), inputs, last - first, count,
                                  sums, begin > 0);
    }
    add_low_rank<1>(product, row, outs, first, last, sums[0], block);
    for (int64_t token = first; token < last; ++token) {
        __builtin_memcpy(out + token * product.outputs + row, sums[token - first], outs * sizeof(float));
    }
}

template <class Type>
void multiply_type(const Product &product, const Rounded &rounded, float *out, int64_t from, int64_t to, int64_t first,
                   int64_t last) {
    for (int64_t row = from * block; row < to * block && row < product.outputs; row += block) {
        for (int64_t token = first; token < last; token += most_tokens) {
            const int64_t end = last - token < most_tokens ? last : token + most_tokens;
            multiply_block<Type>(product, rounded, out, row, token, end);
        }
    }
}

template <class Type>
void multiply_float_type(const Product &product, const float *activations, float *out, int64_t from, int64_t to,
                         int64_t first, int64_t last) {
    using Number = typename Type::Number;
    const Rows<Number> weights{static_cast<const Number *>(product.weights),
                               product.row_bytes / static_cast<int64_t>(sizeof(Number))};
    const Rows<float> tokens{activations, product.token_stride};
    for (int64_t row = from * float_block; row < to * float_block && row < product.outputs; row += float_block) {
        const int64_t outs = product.outputs - row < float_block ? product.outputs - row : float_block;
        float *sums = out + first * product.outputs + row;
        multiply_floats<Type, float_panels>({weights.at(row, 0), weights.stride}, product.inputs, outs,
                                            {tokens.at(first, 0), tokens.stride}, last - first, sums, product.outputs,
                                            false);
        add_low_rank<float_panels>(product, row, outs, first, last, sums, product.outputs);
    }
}

template <class Function>
auto with_type(sdpy::WeightType type, Function &&function) {
    switch (type) {
        case sdpy::weight_iq4_nl:
            return function(Iq4_nl{});
        case sdpy::weight_iq4_xs:
            return function(Iq4_xs{});
        case sdpy::weight_q2_k:
            return function(Q2_K{});
        case sdpy::weight_q3_k:
            return function(Q3_K{});
        case sdpy::weight_q4_0:
            return function(Q4_0{});
        case sdpy::weight_q4_1:
            return function(Q4_1{});
        case sdpy::weight_q5_0:
            return function(Q5_0{});
        case sdpy::weight_q5_1:
            return function(Q5_1{});
        case sdpy::weight_q8_0:
            return function(Q8_0{});
        case sdpy::weight_q4_k:
            return function(Q4_K{});
        case sdpy::weight_q5_k:
            return function(Q5_K{});
        default:
            return function(Q6_K{});
    }
}

void multiply(const Product &product, const void *activations, float *out, int64_t from, int64_t to, int64_t first,
              int64_t last) {
    const auto *floats = static_cast<const float *>(activations);
    switch (product.type) {
        case sdpy::weight_f32:
            return multiply_float_type<F32>(product, floats, out, from, to, first, last);
        case sdpy::weight_f16:
            return multiply_float_type<F16>(product, floats, out, from, to, first, last);
        case sdpy::weight_bf16:
            return multiply_float_type<Bf16>(product, floats, out, from, to, first, last);
        default:
            break;
    }
    const Rounded parts(product, const_cast<void *>(activations));
    with_type(product.type,
              [&](auto weight) { multiply_type<decltype(weight)>(product, parts, out, from, to, first, last); });
}

// Rounds 32 activations, and returns their scale. Where one is no number, neither is that: a maximum passes over it, and as
// an integer it would be a number like any other, of which a picture could come.
float round_32(const float *from, int8_t *to) {
    __m256 values[4], largest = _mm256_setzero_ps(), not_numbers = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
        values[i] = _mm256_loadu_ps(from + 8 * i);
        not_numbers = _mm256_or_ps(not_numbers, _mm256_cmp_ps(values[i], values[i], _CMP_UNORD_Q));
        largest = _mm256_max_ps(largest, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), values[i]));
    }
    float most = 0;
    for (int i = 0; i < 8; ++i) {
        most = largest[i] > most ? largest[i] : most;
    }
    const __m256 factor = _mm256_set1_ps(most > 0 ? 127 / most : 0);
    __m256i numbers[4];
    for (int i = 0; i < 4; ++i) {
        numbers[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], factor));
    }
    const __m256i halves =
        _mm256_packs_epi16(_mm256_packs_epi32(numbers[0], numbers[1]), _mm256_packs_epi32(numbers[2], numbers[3]));
    // Packing works within halves of a vector: put the fours back in order.
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), _mm256_permutevar8x32_epi32(halves, order));
    return _mm256_movemask_ps(not_numbers) == 0 ? most / 127 : __builtin_nanf("");
}

template <class Type>
void round_type(const Product &product, const char *activations, int64_t row_bytes, const Rounded &rounded,
                int64_t from, int64_t to) {
    constexpr int zero = zero_of<Type>();
    for (int64_t token = from; token < to; ++token) {
        const auto *row = reinterpret_cast<const float *>(activations + token * row_bytes);
        for (int64_t i = 0; i < product.inputs; i += 32) {
            const int64_t at = token * product.inputs + i;
            rounded.scales[at / 32] = round_32(row + i, rounded.numbers + at);
            for (int64_t group = at; group < at + 32; group += Type::group) {
                int32_t sum = 0;
                for (int j = 0; j < Type::group; ++j) {
                    sum += rounded.numbers[group + j];
                }
                if (zero < 0) {
                    reinterpret_cast<float *>(rounded.sums)[group / Type::group] =
                        rounded.scales[at / 32] * static_cast<float>(sum);
                } else {
                    reinterpret_cast<int32_t *>(rounded.sums)[group / Type::group] = -zero * sum;
                }
            }
        }
    }
}

void round(const Product &product, const char *activations, int64_t row_bytes, void *rounded, int64_t from,
           int64_t to) {
    with_type(product.type, [&](auto weight) {
        round_type<decltype(weight)>(product, activations, row_bytes, Rounded(product, rounded), from, to);
    });
}

}  // namespace

const sdpy::ProductKernels sdpy::SDPY_KERNELS = {block, float_block, round, multiply};
