// Numbers as files have them, where ggml has no such type or they are to be multiplied.
#pragma once

#include <cstdint>
#include <vector>

#include "weights/stored_rows.h"

namespace sdpy {

// Whether the numbers take another width in memory than in the file: eight-bit floats and what has 64 bits.
bool is_widened(const TensorStorage &stored);

// So many of them in the type that `stored` has, in `room`, whose begin is returned.
char *widen(const TensorStorage &stored, char *raw, int64_t elements, std::vector<char> &room);

// Some rows of what is stored, in the type that it has, as float32 times its scales, in `room`, whose begin is returned.
char *scale(const StoredRows &source, const char *values, int64_t first_row, int64_t rows, std::vector<char> &room);

}  // namespace sdpy
