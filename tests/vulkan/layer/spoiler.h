// Results that are wrong: a shader of this layer's own runs after the one that is spoiled, over what it wrote.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "device.h"
#include "work.h"

namespace rig {

class Spoiler {
   public:
    // Throws std::runtime_error where the driver below refuses.
    explicit Spoiler(Device &device);
    ~Spoiler();
    Spoiler(const Spoiler &) = delete;
    Spoiler &operator=(const Spoiler &) = delete;

    // Records it; the command buffer goes on with what it had bound. With the device's mutex held, as the next one.
    void spoil(VkCommandBuffer buffer, const Recording &recording, const Pipeline &pipeline, const Work &work);
    void forget(VkBuffer buffer);

   private:
    using Range = std::tuple<VkBuffer, VkDeviceSize, VkDeviceSize>;  // offset, size
    struct PooledSet {
        VkDescriptorPool pool = VK_NULL_HANDLE;
        VkDescriptorSet set = VK_NULL_HANDLE;
    };

    bool is_time();
    VkDescriptorSet set_for(const Range &range);
    PooledSet allocate_set();
    void restore(VkCommandBuffer buffer, const Recording &recording);

    Device &device_;
    VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
    VkPipelineLayout layout_ = VK_NULL_HANDLE;
    VkShaderModule module_ = VK_NULL_HANDLE;
    VkPipeline pipeline_ = VK_NULL_HANDLE;
    std::vector<VkDescriptorPool> pools_;
    std::map<Range, PooledSet> sets_;
    uint64_t seen_ = 0;  // dispatches that could have been spoiled
};

}  // namespace rig
