// What this library has allocated on each device: weights and compute buffers, counted where they are allocated.
#pragma once

#include <cstdint>
#include <string>

#include "ggml-backend.h"

namespace sdpy {

// The bytes that it stands for are counted for a device as long as it lives.
class CountedBytes {
   public:
    CountedBytes() = default;
    CountedBytes(ggml_backend_dev_t device, uint64_t bytes);
    ~CountedBytes();
    CountedBytes(CountedBytes &&other) noexcept;
    CountedBytes &operator=(CountedBytes &&other) noexcept;

   private:
    ggml_backend_dev_t device_ = nullptr;
    uint64_t bytes_ = 0;
};

struct DeviceMemory {
    uint64_t now, most;
};

// Since the process began, or since `most` was last reset to what there was.
DeviceMemory device_memory(const std::string &device, bool reset);

}  // namespace sdpy
