// A Vulkan device and what the probe does with it.
#pragma once

#include <vulkan/vulkan.h>

#include <cstdint>
#include <string>
#include <vector>

namespace probe {

struct Api {
#define PROBE_FUNCTIONS(X)                \
    X(AllocateCommandBuffers)             \
    X(AllocateDescriptorSets)             \
    X(AllocateMemory)                     \
    X(BeginCommandBuffer)                 \
    X(BindBufferMemory)                   \
    X(CmdBindDescriptorSets)              \
    X(CmdBindPipeline)                    \
    X(CmdCopyBuffer)                      \
    X(CmdDispatch)                        \
    X(CmdPipelineBarrier)                 \
    X(CmdPushConstants)                   \
    X(CreateBuffer)                       \
    X(CreateCommandPool)                  \
    X(CreateComputePipelines)             \
    X(CreateDescriptorPool)               \
    X(CreateDescriptorSetLayout)          \
    X(CreateDevice)                       \
    X(CreateFence)                        \
    X(CreatePipelineLayout)               \
    X(CreateShaderModule)                 \
    X(DestroyBuffer)                      \
    X(DeviceWaitIdle)                     \
    X(EndCommandBuffer)                   \
    X(EnumerateDeviceExtensionProperties) \
    X(EnumeratePhysicalDevices)           \
    X(FreeMemory)                         \
    X(GetBufferMemoryRequirements)        \
    X(GetDeviceQueue)                     \
    X(GetMemoryHostPointerPropertiesEXT)  \
    X(GetPhysicalDeviceFeatures2)         \
    X(GetPhysicalDeviceMemoryProperties2) \
    X(GetPhysicalDeviceProperties2)       \
    X(MapMemory)                          \
    X(QueueSubmit)                        \
    X(ResetFences)                        \
    X(SetDebugUtilsObjectNameEXT)         \
    X(UpdateDescriptorSets)               \
    X(WaitForFences)
#define PROBE_MEMBER(name) PFN_vk##name name = nullptr;
    PROBE_FUNCTIONS(PROBE_MEMBER)
#undef PROBE_MEMBER
};

struct Memory {
    VkBuffer buffer = VK_NULL_HANDLE;
    VkDeviceMemory memory = VK_NULL_HANDLE;
};

// Opens the first device there is. Throws std::runtime_error, with the call that failed.
class Vulkan {
   public:
    Vulkan();

    std::string describe() const;  // JSON
    // These say what the driver answered.
    VkResult allocate(uint32_t type, VkDeviceSize size);
    VkResult map(uint32_t type);
    VkResult import(void *pages, VkDeviceSize size);
    void free_all();

    // Adds one to `m * n` numbers in a buffer of twice as many, with a pipeline of that name: JSON of what came of it.
    std::string compute(const std::string &name, uint32_t m, uint32_t n, uint32_t k);

   private:
    std::vector<std::string> extensions() const;
    Memory buffer_in(VkDeviceSize size, VkMemoryPropertyFlags flags, void **mapped);
    VkPipeline pipeline(const std::string &name);
    VkResult submit_and_wait(VkCommandBuffer commands, VkResult &submitted);
    void record(VkCommandBuffer commands, VkPipeline pipeline, const Memory (&buffers)[4], VkDeviceSize size,
                const uint32_t (&constants)[17]);

    Api api_;
    VkInstance instance_ = VK_NULL_HANDLE;
    VkPhysicalDevice physical_ = VK_NULL_HANDLE;
    VkDevice device_ = VK_NULL_HANDLE;
    VkQueue queue_ = VK_NULL_HANDLE;
    VkCommandPool commands_ = VK_NULL_HANDLE;
    VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
    VkPipelineLayout layout_ = VK_NULL_HANDLE;
    VkFence fence_ = VK_NULL_HANDLE;
    std::vector<VkDeviceMemory> allocated_;
};

}  // namespace probe
