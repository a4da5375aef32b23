// Where the weights of a part are to be.
#pragma once

#include <algorithm>
#include <cstdint>

#include "devices/imported_memory.h"
#include "ggml-backend.h"

namespace sdpy {

struct WeightPlace {
    ggml_backend_t backend;
    // In memory of this process, where the device's driver takes that for its own; else in the device's.
    bool imported = false;

    ggml_backend_dev_t device() const { return ggml_backend_get_device(backend); }
    ggml_backend_buffer_type_t buffer_type() const { return ggml_backend_get_default_buffer_type(backend); }
    // Bytes that a tensor takes in a buffer, the gap to the next one included.
    uint64_t bytes_of(const ggml_tensor *tensor) const {
        const uint64_t own = ggml_backend_buft_get_alignment(buffer_type());
        // The CPU reads imported memory as well, and wants rows to begin where its cache lines do.
        const uint64_t alignment = imported ? std::max<uint64_t>(own, 64) : own;
        return (ggml_backend_buft_get_alloc_size(buffer_type(), tensor) + alignment - 1) / alignment * alignment;
    }
    // What a buffer takes for so many bytes of them.
    uint64_t taken_for(uint64_t bytes) const { return imported ? ImportedMemory::whole_pages(bytes) : bytes; }
};

}  // namespace sdpy
