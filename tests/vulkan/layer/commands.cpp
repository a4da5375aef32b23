// What is recorded into command buffers: dispatches with their work, and copies.
#include <algorithm>
#include <cstring>

#include "counts.h"
#include "device.h"
#include "machine.h"
#include "spoiler.h"
#include "work.h"

namespace rig {

namespace {

VkResult VKAPI_CALL begin(VkCommandBuffer buffer, const VkCommandBufferBeginInfo *info) {
    const auto device = device_of(buffer);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        device->recordings[buffer] = {};  // beginning resets it
    }
    return device->next.BeginCommandBuffer(buffer, info);
}

void VKAPI_CALL free_buffers(VkDevice handle, VkCommandPool pool, uint32_t count, const VkCommandBuffer *buffers) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        for (uint32_t i = 0; i < count; ++i) {
            device->recordings.erase(buffers[i]);
        }
    }
    device->next.FreeCommandBuffers(handle, pool, count, buffers);
}

void VKAPI_CALL bind_pipeline(VkCommandBuffer buffer, VkPipelineBindPoint point, VkPipeline pipeline) {
    const auto device = device_of(buffer);
    if (point == VK_PIPELINE_BIND_POINT_COMPUTE) {
        std::lock_guard<std::mutex> lock(device->mutex);
        device->recordings[buffer].pipeline = pipeline;
    }
    device->next.CmdBindPipeline(buffer, point, pipeline);
}

void VKAPI_CALL bind_sets(VkCommandBuffer buffer, VkPipelineBindPoint point, VkPipelineLayout layout, uint32_t first,
                          uint32_t count, const VkDescriptorSet *sets, uint32_t offset_count, const uint32_t *offsets) {
    const auto device = device_of(buffer);
    if (point == VK_PIPELINE_BIND_POINT_COMPUTE) {
        std::lock_guard<std::mutex> lock(device->mutex);
        Recording &recording = device->recordings[buffer];
        recording.layout = layout;
        recording.sets.resize(std::max<size_t>(recording.sets.size(), first + count));
        std::copy_n(sets, count, recording.sets.begin() + first);
    }
    device->next.CmdBindDescriptorSets(buffer, point, layout, first, count, sets, offset_count, offsets);
}

void VKAPI_CALL push_constants(VkCommandBuffer buffer, VkPipelineLayout layout, VkShaderStageFlags stages,
                               uint32_t offset, uint32_t size, const void *values) {
    const auto device = device_of(buffer);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        Recording &recording = device->recordings[buffer];
        recording.constant_layout = layout;
        recording.constants.resize(offset + size);
        std::memcpy(recording.constants.data() + offset, values, size);
    }
    device->next.CmdPushConstants(buffer, layout, stages, offset, size, values);
}

void count(Recording &recording, const Pipeline &pipeline, double operations) {
    ++recording.dispatches;
    recording.operations += operations;
    if (operations > recording.costliest) {
        recording.costliest = operations;
        recording.costliest_name = pipeline.name;
    }
    std::lock_guard<std::mutex> lock(counts().mutex);
    ShaderCounts &shader = counts().shaders[pipeline.name];
    ++shader.dispatches;
    shader.operations += operations;
    shader.hash = pipeline.shader.hash;
}

// In place of a dispatch on a machine that does not compute: its results are zeros, as far as it is known where they are.
// Otherwise whatever was in that memory would be read as a result, masks of infinities among it.
void write_zeros(VkCommandBuffer buffer, const Device &device, const BoundRange &results) {
    if (results.buffer != VK_NULL_HANDLE && results.range > 0) {
        device.next.CmdFillBuffer(buffer, results.buffer, results.offset, results.range, 0);
    }
}

// Hands a dispatch on with `dispatch`, unless the machine does not compute, and spoils what it wrote where that is
// asked for.
template <typename Dispatch>
void recorded(VkCommandBuffer buffer, const uint32_t (&groups)[3], Dispatch dispatch) {
    const auto device = device_of(buffer);
    std::lock_guard<std::mutex> lock(device->mutex);
    Recording &recording = device->recordings[buffer];
    const auto found = device->pipelines.find(recording.pipeline);
    static const Pipeline unknown{};
    const Pipeline &pipeline = found == device->pipelines.end() ? unknown : found->second;
    const Work work = work_of(pipeline, recording.constants, groups);
    count(recording, pipeline, work.operations);
    if (machine().computes) {
        dispatch(*device);
    } else {
        write_zeros(buffer, *device, results_of(*device, recording, pipeline, work));
    }
    if (pipeline.spoiled && device->spoiler != nullptr) {
        device->spoiler->spoil(buffer, recording, pipeline, work);
    }
}

void VKAPI_CALL dispatch(VkCommandBuffer buffer, uint32_t x, uint32_t y, uint32_t z) {
    recorded(buffer, {x, y, z}, [&](const Device &device) { device.next.CmdDispatch(buffer, x, y, z); });
}

void VKAPI_CALL dispatch_base(VkCommandBuffer buffer, uint32_t from_x, uint32_t from_y, uint32_t from_z, uint32_t x,
                              uint32_t y, uint32_t z) {
    recorded(buffer, {x, y, z},
             [&](const Device &device) { device.next.CmdDispatchBase(buffer, from_x, from_y, from_z, x, y, z); });
}

// How many groups there are is known to the device alone: counted as one.
void VKAPI_CALL dispatch_indirect(VkCommandBuffer buffer, VkBuffer groups, VkDeviceSize offset) {
    recorded(buffer, {1, 1, 1}, [&](const Device &device) { device.next.CmdDispatchIndirect(buffer, groups, offset); });
}

void VKAPI_CALL copy_buffer(VkCommandBuffer buffer, VkBuffer from, VkBuffer to, uint32_t region_count,
                            const VkBufferCopy *regions) {
    const auto device = device_of(buffer);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        Recording &recording = device->recordings[buffer];
        const bool from_host = device->visible(from), to_host = device->visible(to);
        uint64_t &bytes = from_host && !to_host   ? recording.uploaded
                          : to_host && !from_host ? recording.downloaded
                                                  : recording.copied;
        for (uint32_t i = 0; i < region_count; ++i) {
            bytes += regions[i].size;
        }
    }
    device->next.CmdCopyBuffer(buffer, from, to, region_count, regions);
}

}  // namespace

const Functions &command_functions() {
    static const Functions functions{
        {"vkBeginCommandBuffer", as_function(begin)},
        {"vkFreeCommandBuffers", as_function(free_buffers)},
        {"vkCmdBindPipeline", as_function(bind_pipeline)},
        {"vkCmdBindDescriptorSets", as_function(bind_sets)},
        {"vkCmdPushConstants", as_function(push_constants)},
        {"vkCmdDispatch", as_function(dispatch)},
        {"vkCmdDispatchBase", as_function(dispatch_base)},
        {"vkCmdDispatchBaseKHR", as_function(dispatch_base)},
        {"vkCmdDispatchIndirect", as_function(dispatch_indirect)},
        {"vkCmdCopyBuffer", as_function(copy_buffer)},
    };
    return functions;
}

}  // namespace rig
