// The layer's door: what the loader calls, and how an instance and a device are opened through it.
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include "counts.h"
#include "device.h"
#include "machine.h"
#include "spoiler.h"

namespace rig {

namespace {

PFN_vkVoidFunction get_of_instance(VkInstance instance, const char *name);
PFN_vkVoidFunction get_of_device(VkDevice handle, const char *name);

// The link that the loader has put into the chain for this layer.
template <typename Info>
Info *link_of(const void *chain, VkStructureType type) {
    for (auto *info = find_in_chain<Info>(chain, type); info != nullptr;
         info = find_in_chain<Info>(info->pNext, type)) {
        if (info->function == VK_LAYER_LINK_INFO) {
            return info;
        }
    }
    return nullptr;
}

// Says why an instance or a device is refused: the application learns no more than a number.
VkResult refused(const std::exception &why) {
    std::fprintf(stderr, "VK_LAYER_SDCPP_rig: %s\n", why.what());
    return VK_ERROR_INITIALIZATION_FAILED;
}

VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *callbacks,
                                    VkInstance *handle) {
    auto *link = link_of<VkLayerInstanceCreateInfo>(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
    if (link == nullptr) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    try {
        machine();
    } catch (const std::exception &why) {
        return refused(why);
    }
    const auto get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;  // for the layer below
    const auto create = reinterpret_cast<PFN_vkCreateInstance>(get(VK_NULL_HANDLE, "vkCreateInstance"));
    const VkResult result = create(info, callbacks, handle);
    if (result == VK_SUCCESS) {
        auto instance = std::make_shared<Instance>();
        instance->handle = *handle;
        instance->next = instance_functions(*handle, get);
        add(std::move(instance));
    }
    return result;
}

void VKAPI_CALL destroy_instance(VkInstance handle, const VkAllocationCallbacks *callbacks) {
    if (handle != VK_NULL_HANDLE) {
        remove_instance(handle)->next.DestroyInstance(handle, callbacks);
        sdcpp_rig_write_counts();
    }
}

// Those that the driver below has: others are this layer's own.
std::vector<const char *> known_below(const Instance &instance, VkPhysicalDevice physical,
                                      const VkDeviceCreateInfo &info) {
    uint32_t count = 0;
    instance.next.EnumerateDeviceExtensionProperties(physical, nullptr, &count, nullptr);
    std::vector<VkExtensionProperties> below(count);
    instance.next.EnumerateDeviceExtensionProperties(physical, nullptr, &count, below.data());
    std::vector<const char *> names;
    for (uint32_t i = 0; i < info.enabledExtensionCount; ++i) {
        const char *name = info.ppEnabledExtensionNames[i];
        const bool lent = std::strcmp(name, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) == 0 ||
                          std::strcmp(name, VK_AMD_SHADER_CORE_PROPERTIES_2_EXTENSION_NAME) == 0;
        bool there = false;
        for (const VkExtensionProperties &one : below) {
            there = there || std::strcmp(one.extensionName, name) == 0;
        }
        if (there || !lent) {
            names.push_back(name);
        }
    }
    return names;
}

std::shared_ptr<Device> opened(const Instance &instance, VkPhysicalDevice physical, VkDevice handle,
                               PFN_vkGetDeviceProcAddr get) {
    auto device = std::make_shared<Device>();
    device->handle = handle;
    device->next = device_functions(handle, get);
    VkPhysicalDeviceMemoryProperties real;
    instance.next.GetPhysicalDeviceMemoryProperties(physical, &real);
    device->types = memory_types(real);
    if (!machine().spoil.empty()) {
        device->spoiler = std::make_unique<Spoiler>(*device);
    }
    return device;
}

VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                  const VkAllocationCallbacks *callbacks, VkDevice *handle) {
    auto *link = link_of<VkLayerDeviceCreateInfo>(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
    if (link == nullptr) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    const auto instance = instance_of(physical);
    const auto get_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    const auto get = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    const auto create = reinterpret_cast<PFN_vkCreateDevice>(get_instance(instance->handle, "vkCreateDevice"));
    const std::vector<const char *> names = known_below(*instance, physical, *info);
    VkDeviceCreateInfo below = *info;
    below.enabledExtensionCount = static_cast<uint32_t>(names.size());
    below.ppEnabledExtensionNames = names.data();
    const VkResult result = create(physical, &below, callbacks, handle);
    if (result != VK_SUCCESS) {
        return result;
    }
    try {
        add(opened(*instance, physical, *handle, get));
    } catch (const std::exception &why) {
        reinterpret_cast<PFN_vkDestroyDevice>(get(*handle, "vkDestroyDevice"))(*handle, callbacks);
        return refused(why);
    }
    return VK_SUCCESS;
}

void VKAPI_CALL destroy_device(VkDevice handle, const VkAllocationCallbacks *callbacks) {
    if (handle != VK_NULL_HANDLE) {
        const auto device = remove_device(handle);
        device->spoiler.reset();
        device->next.DestroyDevice(handle, callbacks);
        sdcpp_rig_write_counts();
    }
}

PFN_vkVoidFunction found_in(const Functions &functions, const char *name) {
    const auto found = functions.find(name);
    return found == functions.end() ? nullptr : found->second;
}

PFN_vkVoidFunction of_device(const char *name) {
    for (const Functions *functions :
         {&memory_functions(), &shader_functions(), &command_functions(), &submission_functions()}) {
        if (const auto function = found_in(*functions, name)) {
            return function;
        }
    }
    return nullptr;
}

PFN_vkVoidFunction get_of_instance(VkInstance instance, const char *name) {
    static const Functions own{
        {"vkGetInstanceProcAddr", as_function(get_of_instance)}, {"vkGetDeviceProcAddr", as_function(get_of_device)},
        {"vkCreateInstance", as_function(create_instance)},      {"vkDestroyInstance", as_function(destroy_instance)},
        {"vkCreateDevice", as_function(create_device)},          {"vkDestroyDevice", as_function(destroy_device)},
    };
    for (const auto function : {found_in(own, name), found_in(physical_device_functions(), name), of_device(name)}) {
        if (function != nullptr) {
            return function;
        }
    }
    return instance == VK_NULL_HANDLE ? nullptr : instance_of(instance)->next.get(instance, name);
}

PFN_vkVoidFunction get_of_device(VkDevice handle, const char *name) {
    if (std::strcmp(name, "vkGetDeviceProcAddr") == 0) {
        return as_function(get_of_device);
    }
    if (std::strcmp(name, "vkDestroyDevice") == 0) {
        return as_function(destroy_device);
    }
    const auto below = device_of(handle)->next.get(handle, name);
    const auto own = of_device(name);
    // Names of objects are of use here whether the driver below takes them or not; all else it must have.
    const bool alone = std::strcmp(name, "vkSetDebugUtilsObjectNameEXT") == 0;
    return own != nullptr && (below != nullptr || alone) ? own : below;
}

}  // namespace

}  // namespace rig

extern "C" __attribute__((visibility("default"))) VkResult VKAPI_CALL
sdcpp_rig_negotiate(VkNegotiateLayerInterface *interface) {
    if (interface->loaderLayerInterfaceVersion < CURRENT_LOADER_LAYER_INTERFACE_VERSION) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    interface->loaderLayerInterfaceVersion = CURRENT_LOADER_LAYER_INTERFACE_VERSION;
    interface->pfnGetInstanceProcAddr = rig::get_of_instance;
    interface->pfnGetDeviceProcAddr = rig::get_of_device;
    interface->pfnGetPhysicalDeviceProcAddr = nullptr;
    return VK_SUCCESS;
}
