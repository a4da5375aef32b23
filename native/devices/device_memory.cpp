#include "devices/device_memory.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/forks.h"

namespace sdpy {

namespace {

struct Counts {
    std::mutex mutex;  // closes the race of engines that allocate at the same time
    ForkedMutex forked{mutex};
    std::map<std::string, DeviceMemory> devices;
};

Counts &counts() {
    static auto *counts = new Counts;  // never destroyed: parked threads outlive static destructors
    return *counts;
}

}  // namespace

CountedBytes::CountedBytes(ggml_backend_dev_t device, uint64_t bytes) : device_(device), bytes_(bytes) {
    if (device_ != nullptr) {
        std::lock_guard<std::mutex> lock(counts().mutex);
        DeviceMemory &memory = counts().devices[ggml_backend_dev_name(device_)];
        memory.now += bytes_;
        memory.most = std::max(memory.most, memory.now);
    }
}

CountedBytes::~CountedBytes() {
    if (device_ != nullptr) {
        std::lock_guard<std::mutex> lock(counts().mutex);
        counts().devices[ggml_backend_dev_name(device_)].now -= bytes_;
    }
}

CountedBytes::CountedBytes(CountedBytes &&other) noexcept
    : device_(std::exchange(other.device_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

CountedBytes &CountedBytes::operator=(CountedBytes &&other) noexcept {
    std::swap(device_, other.device_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

DeviceMemory device_memory(const std::string &device, bool reset) {
    std::lock_guard<std::mutex> lock(counts().mutex);
    DeviceMemory &memory = counts().devices[device];
    const DeviceMemory result = memory;
    if (reset) {
        memory.most = memory.now;
    }
    return result;
}

}  // namespace sdpy
