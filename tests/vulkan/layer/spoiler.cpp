#include "spoiler.h"

#include <algorithm>
#include <stdexcept>

#include "counts.h"
#include "machine.h"

namespace rig {

namespace {

const uint32_t shader[] = {
#include "spoil.comp.inc"
};

constexpr uint32_t sets_in_pool = 256, threads = 256, most_groups = 65535;

struct Parameters {
    uint32_t count, how;
    float amount;
    uint32_t half_numbers;
};

void check(VkResult result) {
    if (result != VK_SUCCESS) {
        throw std::runtime_error("the driver below refuses what spoiling needs: " + std::to_string(result));
    }
}

}  // namespace

Spoiler::Spoiler(Device &device) : device_(device) {
    VkDescriptorSetLayoutBinding binding{};
    binding.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    binding.descriptorCount = 1;
    binding.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    VkDescriptorSetLayoutCreateInfo of_set{};
    of_set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    of_set.bindingCount = 1;
    of_set.pBindings = &binding;
    check(device_.next.CreateDescriptorSetLayout(device_.handle, &of_set, nullptr, &set_layout_));

    const VkPushConstantRange constants{VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(Parameters)};
    VkPipelineLayoutCreateInfo of_pipeline{};
    of_pipeline.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    of_pipeline.setLayoutCount = 1;
    of_pipeline.pSetLayouts = &set_layout_;
    of_pipeline.pushConstantRangeCount = 1;
    of_pipeline.pPushConstantRanges = &constants;
    check(device_.next.CreatePipelineLayout(device_.handle, &of_pipeline, nullptr, &layout_));

    VkShaderModuleCreateInfo module{};
    module.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    module.codeSize = sizeof shader;
    module.pCode = shader;
    check(device_.next.CreateShaderModule(device_.handle, &module, nullptr, &module_));

    VkComputePipelineCreateInfo pipeline{};
    pipeline.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    pipeline.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    pipeline.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    pipeline.stage.module = module_;
    pipeline.stage.pName = "main";
    pipeline.layout = layout_;
    check(device_.next.CreateComputePipelines(device_.handle, VK_NULL_HANDLE, 1, &pipeline, nullptr, &pipeline_));
}

Spoiler::~Spoiler() {
    for (VkDescriptorPool pool : pools_) {
        device_.next.DestroyDescriptorPool(device_.handle, pool, nullptr);
    }
    device_.next.DestroyPipeline(device_.handle, pipeline_, nullptr);
    device_.next.DestroyShaderModule(device_.handle, module_, nullptr);
    device_.next.DestroyPipelineLayout(device_.handle, layout_, nullptr);
    device_.next.DestroyDescriptorSetLayout(device_.handle, set_layout_, nullptr);
}

bool Spoiler::is_time() {
    ++seen_;
    if (seen_ < machine().spoil_from || seen_ - machine().spoil_from >= machine().spoil_count) {
        return false;
    }
    static const bool this_process = may_fail();
    return this_process;
}

void Spoiler::spoil(VkCommandBuffer buffer, const Recording &recording, const Pipeline &pipeline, const Work &work) {
    const BoundRange results = results_of(device_, recording, pipeline, work);
    if (results.buffer == VK_NULL_HANDLE) {
        std::lock_guard<std::mutex> lock(counts().mutex);
        const std::string complaint = "where " + pipeline.name + " writes is not known, so it is not spoiled";
        std::vector<std::string> &all = counts().complaints;
        if (std::find(all.begin(), all.end(), complaint) == all.end()) {
            all.push_back(complaint);
        }
        return;
    }
    if (!is_time()) {
        return;
    }
    const VkDescriptorSet set = set_for({results.buffer, results.offset, results.range});
    const Parameters parameters{static_cast<uint32_t>(results.range / 4), static_cast<uint32_t>(machine().spoiling),
                                machine().spoil_amount, work.half ? 1U : 0U};
    const uint32_t groups = (parameters.count + threads - 1) / threads;

    VkMemoryBarrier barrier{};
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
    const DeviceFunctions &next = device_.next;
    next.CmdPipelineBarrier(buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1,
                            &barrier, 0, nullptr, 0, nullptr);
    next.CmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline_);
    next.CmdBindDescriptorSets(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, layout_, 0, 1, &set, 0, nullptr);
    next.CmdPushConstants(buffer, layout_, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof parameters, &parameters);
    next.CmdDispatch(buffer, std::min(groups, most_groups), (groups + most_groups - 1) / most_groups, 1);
    restore(buffer, recording);
    std::lock_guard<std::mutex> lock(counts().mutex);
    ++counts().spoiled_dispatches;
}

void Spoiler::restore(VkCommandBuffer buffer, const Recording &recording) {
    const DeviceFunctions &next = device_.next;
    next.CmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, recording.pipeline);
    next.CmdBindDescriptorSets(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, recording.layout, 0,
                               static_cast<uint32_t>(recording.sets.size()), recording.sets.data(), 0, nullptr);
    if (!recording.constants.empty()) {
        next.CmdPushConstants(buffer, recording.constant_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                              static_cast<uint32_t>(recording.constants.size()), recording.constants.data());
    }
}

VkDescriptorSet Spoiler::set_for(const Range &range) {
    const auto found = sets_.find(range);
    if (found != sets_.end()) {
        return found->second.set;
    }
    const PooledSet pooled = allocate_set();
    const VkDescriptorBufferInfo info{std::get<0>(range), std::get<1>(range), std::get<2>(range)};
    VkWriteDescriptorSet write{};
    write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    write.dstSet = pooled.set;
    write.descriptorCount = 1;
    write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    write.pBufferInfo = &info;
    device_.next.UpdateDescriptorSets(device_.handle, 1, &write, 0, nullptr);
    sets_[range] = pooled;
    return pooled.set;
}

Spoiler::PooledSet Spoiler::allocate_set() {
    VkDescriptorSetAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    info.descriptorSetCount = 1;
    info.pSetLayouts = &set_layout_;
    PooledSet pooled;
    if (!pools_.empty()) {
        pooled.pool = info.descriptorPool = pools_.back();
        if (device_.next.AllocateDescriptorSets(device_.handle, &info, &pooled.set) == VK_SUCCESS) {
            return pooled;
        }
    }
    const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, sets_in_pool};
    VkDescriptorPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    pool.flags = VK_DESCRIPTOR_POOL_CREATE_FREE_DESCRIPTOR_SET_BIT;
    pool.maxSets = sets_in_pool;
    pool.poolSizeCount = 1;
    pool.pPoolSizes = &size;
    check(device_.next.CreateDescriptorPool(device_.handle, &pool, nullptr, &pooled.pool));
    pools_.push_back(pooled.pool);
    info.descriptorPool = pooled.pool;
    check(device_.next.AllocateDescriptorSets(device_.handle, &info, &pooled.set));
    return pooled;
}

void Spoiler::forget(VkBuffer buffer) {
    for (auto entry = sets_.begin(); entry != sets_.end();) {
        if (std::get<0>(entry->first) == buffer) {
            device_.next.FreeDescriptorSets(device_.handle, entry->second.pool, 1, &entry->second.set);
            entry = sets_.erase(entry);
        } else {
            ++entry;
        }
    }
}

}  // namespace rig
