// Memory as the machine gives it: types that stand for the driver's, refusals, imports, and what lies where.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "counts.h"
#include "device.h"
#include "machine.h"
#include "spoiler.h"

namespace rig {

namespace {

// amdgpu refuses to import memory that a file lies behind.
bool is_of_a_file(const void *begin, VkDeviceSize size) {
    const auto from = reinterpret_cast<uint64_t>(begin);
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        unsigned long long low = 0, high = 0, inode = 0;
        if (std::sscanf(line.c_str(), "%llx-%llx %*s %*s %*s %llu", &low, &high, &inode) == 3 && low < from + size &&
            high > from && inode != 0) {
            return true;
        }
    }
    return false;
}

// With the lock of the counts held.
bool is_too_much(VkDeviceSize size, uint32_t heap, bool imported) {
    if (machine().heaps.empty() || machine().refuses == Refusal::never) {
        return false;
    }
    if (!imported && machine().max_allocation != 0 && size > machine().max_allocation) {
        return true;
    }
    VkDeviceSize used = 0, all = 0;
    for (const auto &[index, one] : machine().heaps) {
        if (machine().refuses == Refusal::by_total || index == heap) {
            used += counts().heaps[index].now;
            all += one.size;
        }
    }
    return size > all - std::min(all, used);
}

void count(const VkMemoryAllocateInfo &info, uint32_t heap, bool imported) {
    Counts &all = counts();
    HeapCounts &of_heap = all.heaps[heap];
    of_heap.now += info.allocationSize;
    of_heap.most = std::max(of_heap.most, of_heap.now);
    all.allocated_bytes += info.allocationSize;
    all.largest_allocation = std::max(all.largest_allocation, info.allocationSize);
    if (imported) {
        all.imported_bytes += info.allocationSize;
    }
}

VkResult VKAPI_CALL allocate(VkDevice handle, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *callbacks,
                             VkDeviceMemory *memory) {
    const auto device = device_of(handle);
    if (info->memoryTypeIndex >= device->types.real.size()) {
        return VK_ERROR_UNKNOWN;
    }
    const uint32_t heap = device->types.shown.memoryTypes[info->memoryTypeIndex].heapIndex;
    const auto *import = find_in_chain<VkImportMemoryHostPointerInfoEXT>(
        info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT);
    const bool of_a_file =
        import != nullptr && !machine().types.empty() && is_of_a_file(import->pHostPointer, info->allocationSize);
    if (import != nullptr && (of_a_file || !machine().imports)) {
        return VK_ERROR_INVALID_EXTERNAL_HANDLE;
    }
    {
        std::lock_guard<std::mutex> lock(counts().mutex);
        const bool fails = ++counts().allocations == machine().fail_allocation && may_fail();
        if (fails || is_too_much(info->allocationSize, heap, import != nullptr)) {
            ++counts().refused_allocations;
            return VK_ERROR_OUT_OF_DEVICE_MEMORY;
        }
        count(*info, heap, import != nullptr);
    }
    VkMemoryAllocateInfo real = *info;
    real.memoryTypeIndex = device->types.real[info->memoryTypeIndex];
    const VkResult result = device->next.AllocateMemory(handle, &real, callbacks, memory);
    if (result != VK_SUCCESS) {
        std::lock_guard<std::mutex> lock(counts().mutex);
        counts().heaps[heap].now -= info->allocationSize;
        counts().allocated_bytes -= info->allocationSize;
        counts().complaints.push_back("the driver below refused an allocation of " +
                                      std::to_string(info->allocationSize) + " bytes that the machine would give");
        return result;
    }
    std::lock_guard<std::mutex> lock(device->mutex);
    device->allocations[*memory] = {info->allocationSize, info->memoryTypeIndex};
    return result;
}

void VKAPI_CALL free(VkDevice handle, VkDeviceMemory memory, const VkAllocationCallbacks *callbacks) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        const auto found = device->allocations.find(memory);
        if (found != device->allocations.end()) {
            std::lock_guard<std::mutex> counting(counts().mutex);
            counts().heaps[device->types.shown.memoryTypes[found->second.type].heapIndex].now -= found->second.size;
            device->allocations.erase(found);
        }
    }
    device->next.FreeMemory(handle, memory, callbacks);
}

VkResult VKAPI_CALL map(VkDevice handle, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,
                        VkMemoryMapFlags flags, void **data) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        const auto found = device->allocations.find(memory);
        if (found != device->allocations.end() && (device->types.shown.memoryTypes[found->second.type].propertyFlags &
                                                   VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0) {
            return VK_ERROR_MEMORY_MAP_FAILED;
        }
    }
    return device->next.MapMemory(handle, memory, offset, size, flags, data);
}

VkResult VKAPI_CALL create_buffer(VkDevice handle, const VkBufferCreateInfo *info,
                                  const VkAllocationCallbacks *callbacks, VkBuffer *buffer) {
    const auto device = device_of(handle);
    if (machine().max_buffer != 0 && info->size > machine().max_buffer) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    const VkResult result = device->next.CreateBuffer(handle, info, callbacks, buffer);
    if (result == VK_SUCCESS) {
        std::lock_guard<std::mutex> lock(device->mutex);
        device->buffers[*buffer] = {};
    }
    return result;
}

void VKAPI_CALL destroy_buffer(VkDevice handle, VkBuffer buffer, const VkAllocationCallbacks *callbacks) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        device->buffers.erase(buffer);
        if (device->spoiler != nullptr) {
            device->spoiler->forget(buffer);
        }
    }
    device->next.DestroyBuffer(handle, buffer, callbacks);
}

VkResult VKAPI_CALL bind_buffer(VkDevice handle, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        device->buffers[buffer].memory = memory;
    }
    return device->next.BindBufferMemory(handle, buffer, memory, offset);
}

VkResult VKAPI_CALL bind_buffers(VkDevice handle, uint32_t count, const VkBindBufferMemoryInfo *infos) {
    const auto device = device_of(handle);
    {
        std::lock_guard<std::mutex> lock(device->mutex);
        for (uint32_t i = 0; i < count; ++i) {
            device->buffers[infos[i].buffer].memory = infos[i].memory;
        }
    }
    return device->next.BindBufferMemory2(handle, count, infos);
}

void show(const Device &device, VkMemoryRequirements &requirements, bool for_buffer) {
    requirements.memoryTypeBits = device.types.shown_bits(requirements.memoryTypeBits);
    if (for_buffer) {
        requirements.memoryTypeBits &= device.types.for_buffers;
    }
}

void VKAPI_CALL buffer_requirements(VkDevice handle, VkBuffer buffer, VkMemoryRequirements *requirements) {
    const auto device = device_of(handle);
    device->next.GetBufferMemoryRequirements(handle, buffer, requirements);
    show(*device, *requirements, true);
}

void VKAPI_CALL buffer_requirements2(VkDevice handle, const VkBufferMemoryRequirementsInfo2 *info,
                                     VkMemoryRequirements2 *requirements) {
    const auto device = device_of(handle);
    device->next.GetBufferMemoryRequirements2(handle, info, requirements);
    show(*device, requirements->memoryRequirements, true);
}

void VKAPI_CALL device_buffer_requirements(VkDevice handle, const VkDeviceBufferMemoryRequirements *info,
                                           VkMemoryRequirements2 *requirements) {
    const auto device = device_of(handle);
    device->next.GetDeviceBufferMemoryRequirements(handle, info, requirements);
    show(*device, requirements->memoryRequirements, true);
}

void VKAPI_CALL image_requirements(VkDevice handle, VkImage image, VkMemoryRequirements *requirements) {
    const auto device = device_of(handle);
    device->next.GetImageMemoryRequirements(handle, image, requirements);
    show(*device, *requirements, false);
}

void VKAPI_CALL image_requirements2(VkDevice handle, const VkImageMemoryRequirementsInfo2 *info,
                                    VkMemoryRequirements2 *requirements) {
    const auto device = device_of(handle);
    device->next.GetImageMemoryRequirements2(handle, info, requirements);
    show(*device, requirements->memoryRequirements, false);
}

VkResult VKAPI_CALL host_pointer_properties(VkDevice handle, VkExternalMemoryHandleTypeFlagBits kind,
                                            const void *pointer, VkMemoryHostPointerPropertiesEXT *properties) {
    const auto device = device_of(handle);
    const VkResult result = device->next.GetMemoryHostPointerPropertiesEXT(handle, kind, pointer, properties);
    properties->memoryTypeBits = device->types.shown_bits(properties->memoryTypeBits) & device->types.for_imports;
    return result;
}

}  // namespace

const Functions &memory_functions() {
    static const Functions functions{
        {"vkAllocateMemory", as_function(allocate)},
        {"vkFreeMemory", as_function(free)},
        {"vkMapMemory", as_function(map)},
        {"vkCreateBuffer", as_function(create_buffer)},
        {"vkDestroyBuffer", as_function(destroy_buffer)},
        {"vkBindBufferMemory", as_function(bind_buffer)},
        {"vkBindBufferMemory2", as_function(bind_buffers)},
        {"vkBindBufferMemory2KHR", as_function(bind_buffers)},
        {"vkGetBufferMemoryRequirements", as_function(buffer_requirements)},
        {"vkGetBufferMemoryRequirements2", as_function(buffer_requirements2)},
        {"vkGetBufferMemoryRequirements2KHR", as_function(buffer_requirements2)},
        {"vkGetDeviceBufferMemoryRequirements", as_function(device_buffer_requirements)},
        {"vkGetDeviceBufferMemoryRequirementsKHR", as_function(device_buffer_requirements)},
        {"vkGetImageMemoryRequirements", as_function(image_requirements)},
        {"vkGetImageMemoryRequirements2", as_function(image_requirements2)},
        {"vkGetImageMemoryRequirements2KHR", as_function(image_requirements2)},
        {"vkGetMemoryHostPointerPropertiesEXT", as_function(host_pointer_properties)},
    };
    return functions;
}

}  // namespace rig
