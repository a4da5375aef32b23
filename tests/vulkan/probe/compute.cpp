// One dispatch, with its upload and its download in the same submission.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "vulkan.h"

namespace probe {

namespace {

const uint32_t shader[] = {
#include "plus_one.comp.inc"
};

constexpr uint32_t threads = 64, most_groups = 65535;

void check(VkResult result, const char *what) {
    if (result != VK_SUCCESS) {
        throw std::runtime_error(std::string(what) + ": " + std::to_string(result));
    }
}

}  // namespace

Memory Vulkan::buffer_in(VkDeviceSize size, VkMemoryPropertyFlags flags, void **mapped) {
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size;
    info.usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    Memory made;
    check(api_.CreateBuffer(device_, &info, nullptr, &made.buffer), "vkCreateBuffer");
    VkMemoryRequirements needs;
    api_.GetBufferMemoryRequirements(device_, made.buffer, &needs);
    VkPhysicalDeviceMemoryProperties2 memory{};
    memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    api_.GetPhysicalDeviceMemoryProperties2(physical_, &memory);
    for (uint32_t type = 0; type < memory.memoryProperties.memoryTypeCount; ++type) {
        const bool fits = (memory.memoryProperties.memoryTypes[type].propertyFlags & flags) == flags;
        if (fits && (needs.memoryTypeBits >> type & 1) != 0) {
            check(allocate(type, needs.size), "vkAllocateMemory");
            made.memory = allocated_.back();
            check(api_.BindBufferMemory(device_, made.buffer, made.memory, 0), "vkBindBufferMemory");
            if (mapped != nullptr) {
                check(api_.MapMemory(device_, made.memory, 0, VK_WHOLE_SIZE, 0, mapped), "vkMapMemory");
            }
            return made;
        }
    }
    throw std::runtime_error("no memory type suits");
}

VkPipeline Vulkan::pipeline(const std::string &name) {
    VkShaderModuleCreateInfo module{};
    module.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    module.codeSize = sizeof shader;
    module.pCode = shader;
    VkShaderModule made = VK_NULL_HANDLE;
    check(api_.CreateShaderModule(device_, &module, nullptr, &made), "vkCreateShaderModule");
    const VkSpecializationMapEntry entry{0, 0, sizeof threads};
    const VkSpecializationInfo constants{1, &entry, sizeof threads, &threads};
    VkComputePipelineCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    info.stage.module = made;
    info.stage.pName = "main";
    info.stage.pSpecializationInfo = &constants;
    info.layout = layout_;
    VkPipeline result = VK_NULL_HANDLE;
    check(api_.CreateComputePipelines(device_, VK_NULL_HANDLE, 1, &info, nullptr, &result), "vkCreateComputePipelines");
    VkDebugUtilsObjectNameInfoEXT named{};
    named.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT;
    named.objectType = VK_OBJECT_TYPE_PIPELINE;
    named.objectHandle = reinterpret_cast<uint64_t>(result);
    named.pObjectName = name.c_str();
    check(api_.SetDebugUtilsObjectNameEXT(device_, &named), "vkSetDebugUtilsObjectNameEXT");
    return result;
}

void Vulkan::record(VkCommandBuffer commands, VkPipeline pipeline, const Memory (&buffers)[4], VkDeviceSize size,
                    const uint32_t (&constants)[17]) {
    const auto &[upload, from, to, download] = buffers;
    VkDescriptorPoolSize of_kind{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 2};
    VkDescriptorPoolCreateInfo pool_info{};
    pool_info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    pool_info.maxSets = 1;
    pool_info.poolSizeCount = 1;
    pool_info.pPoolSizes = &of_kind;
    VkDescriptorSetAllocateInfo set_info{};
    set_info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    check(api_.CreateDescriptorPool(device_, &pool_info, nullptr, &set_info.descriptorPool), "vkCreateDescriptorPool");
    set_info.descriptorSetCount = 1;
    set_info.pSetLayouts = &set_layout_;
    VkDescriptorSet set = VK_NULL_HANDLE;
    check(api_.AllocateDescriptorSets(device_, &set_info, &set), "vkAllocateDescriptorSets");
    // As ggml does: one write over all bindings.
    const VkDescriptorBufferInfo bound[2]{{from.buffer, 0, size}, {to.buffer, 0, size}};
    VkWriteDescriptorSet write{};
    write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    write.dstSet = set;
    write.descriptorCount = 2;
    write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    write.pBufferInfo = bound;
    api_.UpdateDescriptorSets(device_, 1, &write, 0, nullptr);

    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    check(api_.BeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    const auto wait = [&] {
        VkMemoryBarrier barrier{};
        barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
        barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
        barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT;
        const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
        api_.CmdPipelineBarrier(commands, stages, stages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
    };
    const VkBufferCopy whole{0, 0, size};
    api_.CmdCopyBuffer(commands, upload.buffer, from.buffer, 1, &whole);
    api_.CmdCopyBuffer(commands, upload.buffer, to.buffer, 1, &whole);
    wait();
    api_.CmdPushConstants(commands, layout_, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof constants, constants);
    api_.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    api_.CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout_, 0, 1, &set, 0, nullptr);
    const uint32_t groups = (constants[0] * constants[1] + threads - 1) / threads;
    api_.CmdDispatch(commands, std::min(groups, most_groups), (groups + most_groups - 1) / most_groups, 1);
    wait();
    api_.CmdCopyBuffer(commands, to.buffer, download.buffer, 1, &whole);
    check(api_.EndCommandBuffer(commands), "vkEndCommandBuffer");
}

VkResult Vulkan::submit_and_wait(VkCommandBuffer commands, VkResult &submitted) {
    VkSubmitInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &commands;
    submitted = api_.QueueSubmit(queue_, 1, &info, fence_);
    if (submitted != VK_SUCCESS) {
        return submitted;
    }
    const VkResult waited = api_.WaitForFences(device_, 1, &fence_, VK_TRUE, UINT64_MAX);
    if (waited == VK_SUCCESS) {
        check(api_.ResetFences(device_, 1, &fence_), "vkResetFences");
    }
    return waited;
}

std::string Vulkan::compute(const std::string &name, uint32_t m, uint32_t n, uint32_t k) {
    const uint32_t results = m * n, numbers = 2 * results;
    const VkDeviceSize size = static_cast<VkDeviceSize>(numbers) * sizeof(float);
    const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    void *written = nullptr, *read = nullptr;
    const Memory buffers[4]{
        buffer_in(size, host, &written),
        buffer_in(size, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, nullptr),
        buffer_in(size, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, nullptr),
        buffer_in(size, host, &read),
    };
    std::fill_n(static_cast<float *>(written), numbers, 41.0F);
    std::memset(read, 0, size);
    VkCommandBufferAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    info.commandPool = commands_;
    info.commandBufferCount = 1;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    check(api_.AllocateCommandBuffers(device_, &info, &commands), "vkAllocateCommandBuffers");
    uint32_t constants[17]{m, n, k};
    constants[11] = k;
    record(commands, pipeline(name), buffers, size, constants);
    VkResult submitted = VK_SUCCESS;
    const VkResult waited = submit_and_wait(commands, submitted);

    const auto *values = static_cast<const float *>(read);
    std::ostringstream json;
    json << "{\"submitted\": " << submitted << ", \"waited\": " << waited
         << ", \"nan\": " << std::count_if(values, values + results, [](float value) { return std::isnan(value); })
         << ", \"least\": " << (std::isnan(values[0]) ? 0 : *std::min_element(values, values + results))
         << ", \"most\": " << (std::isnan(values[0]) ? 0 : *std::max_element(values, values + results))
         << ", \"untouched\": " << std::count(values + results, values + numbers, 41.0F) << "}";
    return json.str();
}

}  // namespace probe
