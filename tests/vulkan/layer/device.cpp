#include "device.h"

#include <shared_mutex>
#include <stdexcept>

#include "machine.h"
#include "spoiler.h"

namespace rig {

namespace {

template <typename Object>
class Registry {
   public:
    void add(std::shared_ptr<Object> object) {
        std::unique_lock<std::shared_mutex> lock(mutex_);
        objects_[key_of(object->handle)] = std::move(object);
    }
    std::shared_ptr<Object> find(const void *handle) {
        std::shared_lock<std::shared_mutex> lock(mutex_);
        return objects_.at(key_of(handle));
    }
    std::shared_ptr<Object> remove(const void *handle) {
        std::unique_lock<std::shared_mutex> lock(mutex_);
        const auto found = objects_.find(key_of(handle));
        std::shared_ptr<Object> object = found->second;
        objects_.erase(found);
        return object;
    }

   private:
    std::shared_mutex mutex_;  // closes the race of a thread that opens one with others that look theirs up
    std::unordered_map<void *, std::shared_ptr<Object>> objects_;
};

Registry<Instance> &instances() {
    static auto *registry = new Registry<Instance>;  // never destroyed: programs may end with devices open
    return *registry;
}

Registry<Device> &devices() {
    static auto *registry = new Registry<Device>;  // likewise
    return *registry;
}

}  // namespace

Device::Device() = default;
Device::~Device() = default;

bool Device::visible(VkBuffer buffer) const {
    const auto found = buffers.find(buffer);
    if (found == buffers.end()) {
        return false;
    }
    const auto memory = allocations.find(found->second.memory);
    return memory != allocations.end() &&
           (types.shown.memoryTypes[memory->second.type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
}

uint32_t MemoryTypes::shown_bits(uint32_t real_bits) const {
    uint32_t bits = 0;
    for (uint32_t i = 0; i < real.size(); ++i) {
        if ((real_bits >> real[i] & 1) != 0) {
            bits |= 1U << i;
        }
    }
    return bits;
}

MemoryTypes memory_types(const VkPhysicalDeviceMemoryProperties &real) {
    MemoryTypes types;
    if (machine().types.empty()) {
        types.shown = real;
        for (uint32_t i = 0; i < real.memoryTypeCount; ++i) {
            types.real.push_back(i);
        }
        return types;
    }
    types.for_buffers = types.for_imports = 0;
    types.shown.memoryHeapCount = static_cast<uint32_t>(machine().heaps.size());
    for (const auto &[index, heap] : machine().heaps) {
        types.shown.memoryHeaps[index] = {
            heap.size, static_cast<VkMemoryHeapFlags>(heap.local ? VK_MEMORY_HEAP_DEVICE_LOCAL_BIT : 0)};
    }
    types.shown.memoryTypeCount = static_cast<uint32_t>(machine().types.size());
    for (const auto &[index, type] : machine().types) {
        types.shown.memoryTypes[index] = {type.flags, type.heap};
        types.for_buffers |= static_cast<uint32_t>(type.for_buffers) << index;
        types.for_imports |= static_cast<uint32_t>(type.for_imports) << index;
        // The host must be able to do with it what the machine says; where the memory lies does not show.
        const VkMemoryPropertyFlags must =
            type.flags & (VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
        uint32_t stands_in = 0;
        while (stands_in < real.memoryTypeCount && (real.memoryTypes[stands_in].propertyFlags & must) != must) {
            ++stands_in;
        }
        if (stands_in == real.memoryTypeCount) {
            throw std::runtime_error("the driver below has no memory that could stand for type " +
                                     std::to_string(index) + " of the machine");
        }
        types.real.push_back(stands_in);
    }
    return types;
}

void add(std::shared_ptr<Instance> instance) { instances().add(std::move(instance)); }
void add(std::shared_ptr<Device> device) { devices().add(std::move(device)); }
std::shared_ptr<Instance> instance_of(const void *handle) { return instances().find(handle); }
std::shared_ptr<Device> device_of(const void *handle) { return devices().find(handle); }
std::shared_ptr<Instance> remove_instance(VkInstance handle) { return instances().remove(handle); }
std::shared_ptr<Device> remove_device(VkDevice handle) { return devices().remove(handle); }

}  // namespace rig
