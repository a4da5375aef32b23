#include "next.h"

namespace rig {

// By its name, or by the one that it had as an extension.
#define RIG_FIND(name)                                                             \
    next.name = reinterpret_cast<PFN_vk##name>(get(handle, "vk" #name));           \
    if (next.name == nullptr) {                                                    \
        next.name = reinterpret_cast<PFN_vk##name>(get(handle, "vk" #name "KHR")); \
    }

InstanceFunctions instance_functions(VkInstance handle, PFN_vkGetInstanceProcAddr get) {
    InstanceFunctions next;
    next.get = get;
    RIG_INSTANCE_FUNCTIONS(RIG_FIND)
    return next;
}

DeviceFunctions device_functions(VkDevice handle, PFN_vkGetDeviceProcAddr get) {
    DeviceFunctions next;
    next.get = get;
    RIG_DEVICE_FUNCTIONS(RIG_FIND)
    return next;
}

#undef RIG_FIND

}  // namespace rig
