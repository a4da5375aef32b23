// What lies below this layer: the next layer's functions, for each instance and each device.
#pragma once

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#include <string>
#include <unordered_map>

#define RIG_INSTANCE_FUNCTIONS(X)         \
    X(DestroyInstance)                    \
    X(EnumerateDeviceExtensionProperties) \
    X(GetPhysicalDeviceFeatures2)         \
    X(GetPhysicalDeviceMemoryProperties)  \
    X(GetPhysicalDeviceMemoryProperties2) \
    X(GetPhysicalDeviceProperties)        \
    X(GetPhysicalDeviceProperties2)

#define RIG_DEVICE_FUNCTIONS(X)          \
    X(AllocateDescriptorSets)            \
    X(AllocateMemory)                    \
    X(BeginCommandBuffer)                \
    X(BindBufferMemory)                  \
    X(BindBufferMemory2)                 \
    X(CmdBindDescriptorSets)             \
    X(CmdBindPipeline)                   \
    X(CmdCopyBuffer)                     \
    X(CmdDispatch)                       \
    X(CmdDispatchBase)                   \
    X(CmdFillBuffer)                     \
    X(CmdDispatchIndirect)               \
    X(CmdPipelineBarrier)                \
    X(CmdPushConstants)                  \
    X(CreateBuffer)                      \
    X(CreateComputePipelines)            \
    X(CreateDescriptorPool)              \
    X(CreateDescriptorSetLayout)         \
    X(CreatePipelineLayout)              \
    X(CreateShaderModule)                \
    X(DestroyBuffer)                     \
    X(DestroyDescriptorPool)             \
    X(DestroyDescriptorSetLayout)        \
    X(DestroyDevice)                     \
    X(DestroyPipeline)                   \
    X(DestroyPipelineLayout)             \
    X(DestroyShaderModule)               \
    X(DeviceWaitIdle)                    \
    X(FreeCommandBuffers)                \
    X(FreeDescriptorSets)                \
    X(FreeMemory)                        \
    X(GetBufferMemoryRequirements)       \
    X(GetBufferMemoryRequirements2)      \
    X(GetDeviceBufferMemoryRequirements) \
    X(GetFenceStatus)                    \
    X(GetImageMemoryRequirements)        \
    X(GetImageMemoryRequirements2)       \
    X(GetMemoryHostPointerPropertiesEXT) \
    X(GetSemaphoreCounterValue)          \
    X(MapMemory)                         \
    X(QueueSubmit)                       \
    X(QueueSubmit2)                      \
    X(QueueWaitIdle)                     \
    X(SetDebugUtilsObjectNameEXT)        \
    X(UpdateDescriptorSets)              \
    X(WaitForFences)                     \
    X(WaitSemaphores)

namespace rig {

struct InstanceFunctions {
    PFN_vkGetInstanceProcAddr get = nullptr;
#define RIG_MEMBER(name) PFN_vk##name name = nullptr;
    RIG_INSTANCE_FUNCTIONS(RIG_MEMBER)
#undef RIG_MEMBER
};

struct DeviceFunctions {
    PFN_vkGetDeviceProcAddr get = nullptr;
#define RIG_MEMBER(name) PFN_vk##name name = nullptr;
    RIG_DEVICE_FUNCTIONS(RIG_MEMBER)
#undef RIG_MEMBER
};

InstanceFunctions instance_functions(VkInstance instance, PFN_vkGetInstanceProcAddr get);
// The name that extensions gave a function stands for it where it is not of the core that the application asked for.
DeviceFunctions device_functions(VkDevice device, PFN_vkGetDeviceProcAddr get);

// What the loader has put at the beginning of a handle is equal for an instance and its physical devices, and for a
// device, its queues and its command buffers.
inline void *key_of(const void *handle) { return *static_cast<void *const *>(handle); }

// Functions of this layer, by the names that the loader asks for.
using Functions = std::unordered_map<std::string, PFN_vkVoidFunction>;
template <typename Function>
PFN_vkVoidFunction as_function(Function *function) {
    return reinterpret_cast<PFN_vkVoidFunction>(function);
}
const Functions &physical_device_functions();
const Functions &memory_functions();
const Functions &shader_functions();
const Functions &command_functions();
const Functions &submission_functions();

// A structure of a chain of extensions, or null. `structure` is one with sType and pNext.
template <typename Structure>
Structure *find_in_chain(const void *chain, VkStructureType type) {
    for (auto *link = static_cast<const VkBaseInStructure *>(chain); link != nullptr; link = link->pNext) {
        if (link->sType == type) {
            return reinterpret_cast<Structure *>(const_cast<VkBaseInStructure *>(link));
        }
    }
    return nullptr;
}

}  // namespace rig
