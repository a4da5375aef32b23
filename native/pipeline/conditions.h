// Between arrays that cross the boundary and the engine's tensors and conditions. For pipeline/pipeline.cpp, after the engine's
// headers.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "conditioner.hpp"
#include "pipeline/pipeline.h"
#include "tensor.hpp"

namespace sdpy {

// The engine counts axes from the fastest one; arrays count from the slowest. `rank` axes are wanted.
template <typename T>
sd::Tensor<T> to_tensor(const Array &array, size_t rank) {
    std::vector<int64_t> shape(array.shape.rbegin(), array.shape.rend());
    shape.resize(std::max(rank, shape.size()), 1);
    sd::Tensor<T> tensor(shape);
    std::memcpy(tensor.data(), array.bytes.data(), array.bytes.size());
    return tensor;
}

template <typename T>
Array to_array(const char *name, const sd::Tensor<T> &tensor, sdpy_dtype dtype) {
    std::vector<int64_t> shape(tensor.shape().rbegin(), tensor.shape().rend());
    while (shape.size() > 1 && shape.front() == 1) {
        shape.erase(shape.begin());
    }
    const auto *data = reinterpret_cast<const uint8_t *>(tensor.data());
    return {name, dtype, std::move(shape), {data, data + tensor.numel() * sizeof(T)}};
}

inline SDCondition to_condition(const Arrays &arrays) {
    SDCondition condition;
    for (const Array &array : arrays) {
        if (array.name == "crossattn") {
            condition.c_crossattn = to_tensor<float>(array, array.shape.size());
        } else if (array.name == "vector") {
            condition.c_vector = to_tensor<float>(array, array.shape.size());
        } else if (array.name == "t5_ids") {
            condition.c_t5_ids = to_tensor<int32_t>(array, array.shape.size());
        } else if (array.name == "t5_weights") {
            condition.c_t5_weights = to_tensor<float>(array, array.shape.size());
        } else {
            throw BadSettings("an encoded prompt has no part called '" + array.name + "'");
        }
    }
    return condition;
}

inline Arrays to_arrays(const SDCondition &condition) {
    Arrays arrays;
    const auto add = [&](const char *name, const auto &tensor, sdpy_dtype dtype) {
        if (!tensor.empty()) {
            arrays.push_back(to_array(name, tensor, dtype));
        }
    };
    add("crossattn", condition.c_crossattn, SDPY_FLOAT32);
    add("vector", condition.c_vector, SDPY_FLOAT32);
    add("t5_ids", condition.c_t5_ids, SDPY_INT32);
    add("t5_weights", condition.c_t5_weights, SDPY_FLOAT32);
    return arrays;
}

}  // namespace sdpy
