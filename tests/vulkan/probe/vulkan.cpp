#include "vulkan.h"

#include <dlfcn.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace probe {

namespace {

void check(VkResult result, const char *what) {
    if (result != VK_SUCCESS) {
        throw std::runtime_error(std::string(what) + ": " + std::to_string(result));
    }
}

// vkGetDeviceProcAddr is not used: functions of the instance go the same way through the layers.
VkInstance open_instance(Api &api) {
    void *library = dlopen("libvulkan.so.1", RTLD_NOW);
    if (library == nullptr) {
        throw std::runtime_error("there is no libvulkan.so.1");
    }
    const auto get = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
    const auto create = reinterpret_cast<PFN_vkCreateInstance>(get(VK_NULL_HANDLE, "vkCreateInstance"));
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.apiVersion = VK_API_VERSION_1_2;
    const char *extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;
    info.enabledExtensionCount = 1;
    info.ppEnabledExtensionNames = &extension;
    VkInstance instance = VK_NULL_HANDLE;
    check(create(&info, nullptr, &instance), "vkCreateInstance");
#define PROBE_FIND(name) api.name = reinterpret_cast<PFN_vk##name>(get(instance, "vk" #name));
    PROBE_FUNCTIONS(PROBE_FIND)
#undef PROBE_FIND
    return instance;
}

}  // namespace

Vulkan::Vulkan() : instance_(open_instance(api_)) {
    uint32_t count = 1;
    const VkResult found = api_.EnumeratePhysicalDevices(instance_, &count, &physical_);
    if (found < 0 || count == 0) {
        throw std::runtime_error("there is no device");
    }
    const float priority = 1;
    VkDeviceQueueCreateInfo queue{};
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    const char *extension = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    const std::vector<std::string> there = extensions();
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queue;
    info.enabledExtensionCount = std::count(there.begin(), there.end(), extension) != 0 ? 1 : 0;
    info.ppEnabledExtensionNames = &extension;
    check(api_.CreateDevice(physical_, &info, nullptr, &device_), "vkCreateDevice");
    api_.GetDeviceQueue(device_, 0, 0, &queue_);
    VkCommandPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    check(api_.CreateCommandPool(device_, &pool, nullptr, &commands_), "vkCreateCommandPool");
    VkFenceCreateInfo fence{};
    fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
    check(api_.CreateFence(device_, &fence, nullptr, &fence_), "vkCreateFence");

    VkDescriptorSetLayoutBinding bindings[2]{};
    for (uint32_t i = 0; i < 2; ++i) {
        bindings[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
    }
    VkDescriptorSetLayoutCreateInfo set{};
    set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    set.bindingCount = 2;
    set.pBindings = bindings;
    check(api_.CreateDescriptorSetLayout(device_, &set, nullptr, &set_layout_), "vkCreateDescriptorSetLayout");
    const VkPushConstantRange constants{VK_SHADER_STAGE_COMPUTE_BIT, 0, 17 * sizeof(uint32_t)};
    VkPipelineLayoutCreateInfo layout{};
    layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    layout.setLayoutCount = 1;
    layout.pSetLayouts = &set_layout_;
    layout.pushConstantRangeCount = 1;
    layout.pPushConstantRanges = &constants;
    check(api_.CreatePipelineLayout(device_, &layout, nullptr, &layout_), "vkCreatePipelineLayout");
}

std::vector<std::string> Vulkan::extensions() const {
    uint32_t count = 0;
    api_.EnumerateDeviceExtensionProperties(physical_, nullptr, &count, nullptr);
    std::vector<VkExtensionProperties> properties(count);
    api_.EnumerateDeviceExtensionProperties(physical_, nullptr, &count, properties.data());
    std::vector<std::string> names;
    for (const VkExtensionProperties &one : properties) {
        names.emplace_back(one.extensionName);
    }
    return names;
}

std::string Vulkan::describe() const {
    VkPhysicalDeviceMaintenance3Properties allocation{};
    allocation.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
    VkPhysicalDeviceDriverProperties driver{};
    driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    driver.pNext = &allocation;
    VkPhysicalDeviceProperties2 properties{};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    properties.pNext = &driver;
    api_.GetPhysicalDeviceProperties2(physical_, &properties);
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
    budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    VkPhysicalDeviceMemoryProperties2 memory{};
    memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    memory.pNext = &budget;
    api_.GetPhysicalDeviceMemoryProperties2(physical_, &memory);
    VkPhysicalDeviceShaderFloat16Int8Features small{};
    small.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES;
    VkPhysicalDeviceFeatures2 features{};
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    features.pNext = &small;
    api_.GetPhysicalDeviceFeatures2(physical_, &features);

    std::ostringstream json;
    json << "{\"name\": \"" << properties.properties.deviceName << "\", \"vendor\": " << properties.properties.vendorID
         << ", \"type\": " << properties.properties.deviceType << ", \"driver\": \"" << driver.driverName
         << "\", \"max_allocation\": " << allocation.maxMemoryAllocationSize
         << ", \"max_storage_range\": " << properties.properties.limits.maxStorageBufferRange
         << ", \"float16\": " << (small.shaderFloat16 != VK_FALSE ? "true" : "false") << ", \"heaps\": [";
    for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; ++i) {
        const VkMemoryHeap &heap = memory.memoryProperties.memoryHeaps[i];
        json << (i > 0 ? ", " : "") << "{\"size\": " << heap.size << ", \"local\": " << (heap.flags & 1)
             << ", \"free\": " << budget.heapBudget[i] - budget.heapUsage[i] << "}";
    }
    json << "], \"types\": [";
    for (uint32_t i = 0; i < memory.memoryProperties.memoryTypeCount; ++i) {
        const VkMemoryType &type = memory.memoryProperties.memoryTypes[i];
        json << (i > 0 ? ", " : "") << "[" << type.heapIndex << ", " << type.propertyFlags << "]";
    }
    json << "], \"extensions\": [";
    const char *between = "";
    for (const std::string &extension : extensions()) {
        json << between << "\"" << extension << "\"";
        between = ", ";
    }
    return json.str() + "]}";
}

VkResult Vulkan::allocate(uint32_t type, VkDeviceSize size) {
    VkMemoryAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    info.allocationSize = size;
    info.memoryTypeIndex = type;
    VkDeviceMemory memory = VK_NULL_HANDLE;
    const VkResult result = api_.AllocateMemory(device_, &info, nullptr, &memory);
    if (result == VK_SUCCESS) {
        allocated_.push_back(memory);
    }
    return result;
}

VkResult Vulkan::map(uint32_t type) {
    check(allocate(type, 4096), "vkAllocateMemory");
    void *mapped = nullptr;
    return api_.MapMemory(device_, allocated_.back(), 0, VK_WHOLE_SIZE, 0, &mapped);
}

VkResult Vulkan::import(void *pages, VkDeviceSize size) {
    VkMemoryHostPointerPropertiesEXT types{};
    types.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT;
    const auto kind = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
    check(api_.GetMemoryHostPointerPropertiesEXT(device_, kind, pages, &types), "vkGetMemoryHostPointerProperties");
    VkImportMemoryHostPointerInfoEXT import{};
    import.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT;
    import.handleType = kind;
    import.pHostPointer = pages;
    VkMemoryAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    info.pNext = &import;
    info.allocationSize = size;
    while (types.memoryTypeBits >> info.memoryTypeIndex != 0 &&
           (types.memoryTypeBits >> info.memoryTypeIndex & 1) == 0) {
        ++info.memoryTypeIndex;
    }
    VkDeviceMemory memory = VK_NULL_HANDLE;
    const VkResult result = api_.AllocateMemory(device_, &info, nullptr, &memory);
    if (result == VK_SUCCESS) {
        allocated_.push_back(memory);
    }
    return result;
}

void Vulkan::free_all() {
    for (VkDeviceMemory memory : allocated_) {
        api_.FreeMemory(device_, memory, nullptr);
    }
    allocated_.clear();
}

}  // namespace probe
