#include "pipeline/pipeline.h"

namespace sdpy {

Array Array::copy_of(const sdpy_array &array) {
    Array copy;
    copy.name = array.name;
    copy.dtype = static_cast<sdpy_dtype>(array.dtype);
    copy.shape.assign(array.shape, array.shape + array.ndim);
    size_t bytes = array.dtype == SDPY_UINT8 ? 1 : 4;
    for (int64_t extent : copy.shape) {
        bytes *= static_cast<size_t>(extent);
    }
    const auto *data = static_cast<const uint8_t *>(array.data);
    copy.bytes.assign(data, data + bytes);
    return copy;
}

}  // namespace sdpy
