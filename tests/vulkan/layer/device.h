// The instances and devices that are open, and what is known of each.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "next.h"
#include "spirv.h"

namespace rig {

struct Instance {
    VkInstance handle = VK_NULL_HANDLE;
    InstanceFunctions next;
};

// The machine's memory types, each with one of the driver's that can stand for it.
struct MemoryTypes {
    VkPhysicalDeviceMemoryProperties shown{};
    std::vector<uint32_t> real;         // by the number of a shown one
    uint32_t for_buffers = UINT32_MAX;  // a bit for each shown one
    uint32_t for_imports = UINT32_MAX;

    // Of bits that stand for the driver's types, those that stand for the shown.
    uint32_t shown_bits(uint32_t real_bits) const;
};

struct Allocation {
    VkDeviceSize size = 0;
    uint32_t type = 0;
};

struct Buffer {
    VkDeviceMemory memory = VK_NULL_HANDLE;
};

struct BoundRange {
    VkBuffer buffer = VK_NULL_HANDLE;
    VkDeviceSize offset = 0, range = 0;
};

// One compute pipeline, and what tells which it is.
struct Pipeline {
    std::string name;  // what VK_EXT_debug_utils called it, else its shader's hash
    ShaderFacts shader;
    std::vector<uint32_t> constants;  // the specialization's, by their place in it
    uint32_t local_size[3]{1, 1, 1};
    bool spoiled = false;
};

// What a command buffer holds so far.
struct Recording {
    VkPipeline pipeline = VK_NULL_HANDLE;
    VkPipelineLayout layout = VK_NULL_HANDLE;  // that the sets were bound with
    std::vector<VkDescriptorSet> sets;
    VkPipelineLayout constant_layout = VK_NULL_HANDLE;
    std::vector<unsigned char> constants;  // pushed

    uint64_t dispatches = 0, uploaded = 0, downloaded = 0, copied = 0;
    double operations = 0, costliest = 0;
    std::string costliest_name;
};

class Spoiler;

// A device that hangs takes what it is given and does nothing; whoever waits for it learns that it is lost.
enum class Health { well, hangs, lost };

struct Device {
    VkDevice handle = VK_NULL_HANDLE;
    DeviceFunctions next;
    MemoryTypes types;
    std::atomic<Health> health{Health::well};
    std::unique_ptr<Spoiler> spoiler;

    // Closes the races of threads that make objects and record commands at the same time; ggml compiles pipelines on
    // several.
    std::mutex mutex;
    std::unordered_map<VkDeviceMemory, Allocation> allocations;
    std::unordered_map<VkBuffer, Buffer> buffers;
    std::unordered_map<VkShaderModule, ShaderFacts> modules;
    std::unordered_map<VkPipeline, Pipeline> pipelines;
    std::unordered_map<VkDescriptorSet, std::unordered_map<uint32_t, BoundRange>> sets;
    std::unordered_map<VkCommandBuffer, Recording> recordings;

    Device();
    ~Device();
    bool visible(VkBuffer buffer) const;  // whether the host could write to its memory. With the mutex held
};

void add(std::shared_ptr<Instance> instance);
void add(std::shared_ptr<Device> device);
// Of an instance or a physical device, and of a device, a queue or a command buffer.
std::shared_ptr<Instance> instance_of(const void *handle);
std::shared_ptr<Device> device_of(const void *handle);
std::shared_ptr<Instance> remove_instance(VkInstance handle);
std::shared_ptr<Device> remove_device(VkDevice handle);

// How the machine's memory lies over that of a driver.
MemoryTypes memory_types(const VkPhysicalDeviceMemoryProperties &real);

}  // namespace rig
