// Where the numbers of a weight lie: one run of bytes in a file, or several, of which each holds some of its rows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model_io/tensor_storage.h"

namespace sdpy {

// Numbers that multiply those of a tensor in a file, each a rectangle of so many rows and columns.
struct Scales {
    std::vector<float> numbers;  // row by row
    int64_t rows_of_each, columns_of_each;
    int64_t in_a_row;

    const float *of_row(int64_t row) const { return numbers.data() + row / rows_of_each * in_a_row; }
};

struct StoredRows {
    TensorStorage stored;  // type, extents and place of these rows
    std::string file;
    std::string identity;                            // of the file that was planned with (WeightFile::identity)
    int64_t first_element = 0;                       // of the tensor in memory
    std::shared_ptr<const Scales> scales = nullptr;  // null: the numbers are what is stored
};

}  // namespace sdpy
