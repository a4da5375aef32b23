// Which shader a pipeline is made of, what it is called, and what its descriptors point to.
#include <fnmatch.h>

#include <algorithm>
#include <cstring>

#include "device.h"
#include "machine.h"

namespace rig {

namespace {

bool is_spoiled(const Pipeline &pipeline) {
    const std::string &pattern = machine().spoil;
    return !pattern.empty() && (fnmatch(pattern.c_str(), pipeline.name.c_str(), 0) == 0 ||
                                fnmatch(pattern.c_str(), pipeline.shader.hash.c_str(), 0) == 0);
}

VkResult VKAPI_CALL create_module(VkDevice handle, const VkShaderModuleCreateInfo *info,
                                  const VkAllocationCallbacks *callbacks, VkShaderModule *module) {
    const auto device = device_of(handle);
    const VkResult result = device->next.CreateShaderModule(handle, info, callbacks, module);
    if (result == VK_SUCCESS) {
        const ShaderFacts facts = facts_of_shader(info->pCode, info->codeSize / sizeof *info->pCode);
        std::lock_guard<std::mutex> lock(device->mutex);
        device->modules[*module] = facts;
    }
    return result;
}

void VKAPI_CALL destroy_module(VkDevice handle, VkShaderModule module, const VkAllocationCallbacks *callbacks) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        device->modules.erase(module);
    }
    device->next.DestroyShaderModule(handle, module, callbacks);
}

std::vector<uint32_t> constants_of(const VkSpecializationInfo *info) {
    std::vector<uint32_t> constants;
    for (uint32_t i = 0; info != nullptr && i < info->mapEntryCount; ++i) {
        const VkSpecializationMapEntry &entry = info->pMapEntries[i];
        constants.resize(std::max<size_t>(constants.size(), entry.constantID + 1));
        std::memcpy(&constants[entry.constantID], static_cast<const char *>(info->pData) + entry.offset,
                    std::min(entry.size, sizeof constants[0]));
    }
    return constants;
}

// With the mutex held.
Pipeline describe(const Device &device, const VkPipelineShaderStageCreateInfo &stage) {
    Pipeline pipeline;
    const auto module = device.modules.find(stage.module);
    if (module != device.modules.end()) {
        pipeline.shader = module->second;
    } else if (const auto *here =
                   find_in_chain<VkShaderModuleCreateInfo>(stage.pNext, VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO)) {
        pipeline.shader = facts_of_shader(here->pCode, here->codeSize / sizeof *here->pCode);
    }
    pipeline.name = pipeline.shader.hash;
    pipeline.constants = constants_of(stage.pSpecializationInfo);
    for (size_t i = 0; i < 3; ++i) {
        const LocalSize &size = pipeline.shader.size[i];
        const auto constant = static_cast<uint64_t>(size.constant);
        const bool given = size.constant >= 0 && constant < pipeline.constants.size();
        pipeline.local_size[i] = given ? pipeline.constants[constant] : size.value;
    }
    pipeline.spoiled = is_spoiled(pipeline);
    return pipeline;
}

VkResult VKAPI_CALL create_pipelines(VkDevice handle, VkPipelineCache cache, uint32_t count,
                                     const VkComputePipelineCreateInfo *infos, const VkAllocationCallbacks *callbacks,
                                     VkPipeline *pipelines) {
    const auto device = device_of(handle);
    const VkResult result = device->next.CreateComputePipelines(handle, cache, count, infos, callbacks, pipelines);
    std::lock_guard<std::mutex> lock(device->mutex);
    for (uint32_t i = 0; i < count; ++i) {
        if (pipelines[i] != VK_NULL_HANDLE) {
            device->pipelines[pipelines[i]] = describe(*device, infos[i].stage);
        }
    }
    return result;
}

void VKAPI_CALL destroy_pipeline(VkDevice handle, VkPipeline pipeline, const VkAllocationCallbacks *callbacks) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        device->pipelines.erase(pipeline);
    }
    device->next.DestroyPipeline(handle, pipeline, callbacks);
}

VkResult VKAPI_CALL set_name(VkDevice handle, const VkDebugUtilsObjectNameInfoEXT *info) {
    const auto device = device_of(handle);
    if (info->objectType == VK_OBJECT_TYPE_PIPELINE && info->pObjectName != nullptr) {
        std::lock_guard<std::mutex> lock(device->mutex);
        const auto found = device->pipelines.find(reinterpret_cast<VkPipeline>(info->objectHandle));
        if (found != device->pipelines.end()) {
            found->second.name = info->pObjectName;
            found->second.spoiled = is_spoiled(found->second);
        }
    }
    const auto next = device->next.SetDebugUtilsObjectNameEXT;
    return next == nullptr ? VK_SUCCESS : next(handle, info);
}

void VKAPI_CALL update_sets(VkDevice handle, uint32_t write_count, const VkWriteDescriptorSet *writes,
                            uint32_t copy_count, const VkCopyDescriptorSet *copies) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        for (uint32_t i = 0; i < write_count; ++i) {
            const VkWriteDescriptorSet &write = writes[i];
            if (write.descriptorType != VK_DESCRIPTOR_TYPE_STORAGE_BUFFER) {
                continue;
            }
            // A write of several goes on in the bindings that follow; ggml's have one descriptor each.
            for (uint32_t j = 0; j < write.descriptorCount; ++j) {
                const VkDescriptorBufferInfo &info = write.pBufferInfo[j];
                device->sets[write.dstSet][write.dstBinding + j] = {info.buffer, info.offset, info.range};
            }
        }
    }
    device->next.UpdateDescriptorSets(handle, write_count, writes, copy_count, copies);
}

}  // namespace

const Functions &shader_functions() {
    static const Functions functions{
        {"vkCreateShaderModule", as_function(create_module)},
        {"vkDestroyShaderModule", as_function(destroy_module)},
        {"vkCreateComputePipelines", as_function(create_pipelines)},
        {"vkDestroyPipeline", as_function(destroy_pipeline)},
        {"vkSetDebugUtilsObjectNameEXT", as_function(set_name)},
        {"vkUpdateDescriptorSets", as_function(update_sets)},
    };
    return functions;
}

}  // namespace rig
