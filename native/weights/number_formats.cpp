#include "weights/number_formats.h"

#include <algorithm>
#include <array>

#include "ggml.h"

// Defined by the engine's model.cpp, declared in no header of it.
void f8_e4m3_to_f16_vec(uint8_t *src, uint16_t *dst, int64_t n);
void f8_e5m2_to_f16_vec(uint8_t *src, uint16_t *dst, int64_t n);
void f64_to_f32_vec(double *src, float *dst, int64_t n);
void i64_to_i32_vec(int64_t *src, int32_t *dst, int64_t n);

namespace sdpy {

namespace {

using HalfOfByte = std::array<uint16_t, 256>;

HalfOfByte halves(void (*convert)(uint8_t *, uint16_t *, int64_t)) {
    std::array<uint8_t, 256> bytes;
    for (size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<uint8_t>(i);
    }
    HalfOfByte table;
    convert(bytes.data(), table.data(), static_cast<int64_t>(bytes.size()));
    return table;
}

// An eight-bit float has 256 values: looking them up is several times as fast as the engine's function.
const HalfOfByte &halves_of(const TensorStorage &stored) {
    static const HalfOfByte e4m3 = halves(f8_e4m3_to_f16_vec), e5m2 = halves(f8_e5m2_to_f16_vec);
    return stored.is_f8_e4m3 ? e4m3 : e5m2;
}

}  // namespace

bool is_widened(const TensorStorage &stored) {
    return stored.is_f8_e4m3 || stored.is_f8_e5m2 || stored.is_f64 || stored.is_i64;
}

char *widen(const TensorStorage &stored, char *raw, int64_t elements, std::vector<char> &room) {
    room.resize(static_cast<size_t>(elements) * 4);
    if (stored.is_f64) {
        f64_to_f32_vec(reinterpret_cast<double *>(raw), reinterpret_cast<float *>(room.data()), elements);
    } else if (stored.is_i64) {
        i64_to_i32_vec(reinterpret_cast<int64_t *>(raw), reinterpret_cast<int32_t *>(room.data()), elements);
    } else {
        const HalfOfByte &table = halves_of(stored);
        const auto *bytes = reinterpret_cast<const uint8_t *>(raw);
        std::transform(bytes, bytes + elements, reinterpret_cast<uint16_t *>(room.data()),
                       [&](uint8_t byte) { return table[byte]; });
    }
    return room.data();
}

char *scale(const StoredRows &source, const char *values, int64_t first_row, int64_t rows, std::vector<char> &room) {
    const int64_t columns = source.stored.ne[0], elements = rows * columns;
    room.resize(static_cast<size_t>(elements) * sizeof(float));
    auto *numbers = reinterpret_cast<float *>(room.data());
    if (source.stored.type == GGML_TYPE_F32) {
        std::copy_n(reinterpret_cast<const float *>(values), elements, numbers);
    } else {
        ggml_get_type_traits(source.stored.type)->to_float(values, numbers, elements);
    }
    for (int64_t row = 0; row < rows; ++row, numbers += columns) {
        const float *factors = source.scales->of_row(first_row + row);
        for (int64_t begin = 0; begin < columns; begin += source.scales->columns_of_each) {
            const float factor = factors[begin / source.scales->columns_of_each];
            const int64_t end = std::min(columns, begin + source.scales->columns_of_each);
            std::for_each(numbers + begin, numbers + end, [factor](float &number) { number *= factor; });
        }
    }
    return room.data();
}

}  // namespace sdpy
