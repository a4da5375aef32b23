// What the machine says of itself: name, kind, limits, heaps, what is free, and what it is without.
#include <algorithm>
#include <cstring>
#include <vector>

#include "counts.h"
#include "device.h"
#include "machine.h"

namespace rig {

namespace {

void copy_name(char *to, size_t size, const std::string &name) {
    if (!name.empty()) {
        std::memset(to, 0, size);
        std::memcpy(to, name.data(), std::min(name.size(), size - 1));
    }
}

template <typename Number>
void say(Number &value, Number instead) {
    if (instead != 0) {
        value = instead;
    }
}

void say_properties(VkPhysicalDeviceProperties &properties) {
    copy_name(properties.deviceName, sizeof properties.deviceName, machine().name);
    say(properties.vendorID, machine().vendor);
    say(properties.deviceID, machine().device);
    say(properties.deviceType, machine().type);
    say(properties.limits.maxStorageBufferRange,
        static_cast<uint32_t>(std::min<VkDeviceSize>(machine().max_storage_range, UINT32_MAX)));
}

template <typename Properties>
void say_driver(Properties *properties) {
    if (properties != nullptr) {
        copy_name(properties->driverName, sizeof properties->driverName, machine().driver);
        copy_name(properties->driverInfo, sizeof properties->driverInfo, machine().driver_info);
        say(properties->driverID, machine().driver_id);
    }
}

template <typename Properties>
void say_allocation(Properties *properties) {
    if (properties != nullptr) {
        say(properties->maxMemoryAllocationSize, machine().max_allocation);
    }
}

template <typename Properties>
void say_buffer(Properties *properties) {
    if (properties != nullptr) {
        say(properties->maxBufferSize, machine().max_buffer);
    }
}

template <typename Properties>
void hide_dot_products(Properties *properties) {
    if (properties != nullptr && machine().hides("integer_dot_product")) {
        properties->integerDotProduct4x8BitPackedSignedAccelerated = VK_FALSE;
        properties->integerDotProduct4x8BitPackedUnsignedAccelerated = VK_FALSE;
        properties->integerDotProduct4x8BitPackedMixedSignednessAccelerated = VK_FALSE;
    }
}

void say_compute_units(void *chain) {
    auto *properties = find_in_chain<VkPhysicalDeviceShaderCoreProperties2AMD>(
        chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD);
    if (properties != nullptr && machine().compute_units != 0) {
        properties->shaderCoreFeatures = 0;
        properties->activeComputeUnitCount = machine().compute_units;
    }
}

void VKAPI_CALL get_properties(VkPhysicalDevice physical, VkPhysicalDeviceProperties *properties) {
    instance_of(physical)->next.GetPhysicalDeviceProperties(physical, properties);
    say_properties(*properties);
}

void VKAPI_CALL get_properties2(VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *properties) {
    instance_of(physical)->next.GetPhysicalDeviceProperties2(physical, properties);
    say_properties(properties->properties);
    void *chain = properties->pNext;
    say_driver(find_in_chain<VkPhysicalDeviceVulkan12Properties>(
        chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES));
    say_driver(
        find_in_chain<VkPhysicalDeviceDriverProperties>(chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES));
    say_allocation(find_in_chain<VkPhysicalDeviceVulkan11Properties>(
        chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES));
    say_allocation(find_in_chain<VkPhysicalDeviceMaintenance3Properties>(
        chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES));
    auto *in_core = find_in_chain<VkPhysicalDeviceVulkan13Properties>(
        chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES);
    say_buffer(in_core);
    hide_dot_products(in_core);
    say_buffer(find_in_chain<VkPhysicalDeviceMaintenance4Properties>(
        chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES));
    hide_dot_products(find_in_chain<VkPhysicalDeviceShaderIntegerDotProductProperties>(
        chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES));
    say_compute_units(chain);
}

// The features that a word of the machine's `hide` takes away; its extension is left out as well.
void VKAPI_CALL get_features2(VkPhysicalDevice physical, VkPhysicalDeviceFeatures2 *features) {
    instance_of(physical)->next.GetPhysicalDeviceFeatures2(physical, features);
    void *chain = features->pNext;
    if (machine().hides("float16")) {
        if (auto *in_core = find_in_chain<VkPhysicalDeviceVulkan12Features>(
                chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES)) {
            in_core->shaderFloat16 = VK_FALSE;
        }
        if (auto *alone = find_in_chain<VkPhysicalDeviceShaderFloat16Int8Features>(
                chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES)) {
            alone->shaderFloat16 = VK_FALSE;
        }
    }
    if (machine().hides("integer_dot_product")) {
        if (auto *in_core = find_in_chain<VkPhysicalDeviceVulkan13Features>(
                chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES)) {
            in_core->shaderIntegerDotProduct = VK_FALSE;
        }
        if (auto *alone = find_in_chain<VkPhysicalDeviceShaderIntegerDotProductFeatures>(
                chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES)) {
            alone->shaderIntegerDotProduct = VK_FALSE;
        }
    }
    if (machine().hides("cooperative_matrix")) {
        if (auto *alone = find_in_chain<VkPhysicalDeviceCooperativeMatrixFeaturesKHR>(
                chain, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR)) {
            alone->cooperativeMatrix = VK_FALSE;
        }
    }
}

MemoryTypes types_of(VkPhysicalDevice physical) {
    VkPhysicalDeviceMemoryProperties real;
    instance_of(physical)->next.GetPhysicalDeviceMemoryProperties(physical, &real);
    return memory_types(real);
}

void VKAPI_CALL get_memory(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *memory) {
    *memory = types_of(physical).shown;
}

// Free is what neither this process nor, by the machine's word, another has.
void say_budget(VkPhysicalDeviceMemoryBudgetPropertiesEXT &budget) {
    std::fill(std::begin(budget.heapBudget), std::end(budget.heapBudget), 0);
    std::fill(std::begin(budget.heapUsage), std::end(budget.heapUsage), 0);
    std::lock_guard<std::mutex> lock(counts().mutex);
    for (const auto &[index, heap] : machine().heaps) {
        const VkDeviceSize used = counts().heaps[index].now;
        budget.heapUsage[index] = used;
        budget.heapBudget[index] = std::max(used, heap.size - std::min(heap.size, heap.taken));
    }
}

void VKAPI_CALL get_memory2(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties2 *memory) {
    instance_of(physical)->next.GetPhysicalDeviceMemoryProperties2(physical, memory);
    if (machine().heaps.empty()) {
        return;
    }
    memory->memoryProperties = memory_types(memory->memoryProperties).shown;
    if (auto *budget = find_in_chain<VkPhysicalDeviceMemoryBudgetPropertiesEXT>(
            memory->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT)) {
        say_budget(*budget);
    }
}

bool hidden(const char *extension) {
    const std::string name = extension;
    return (machine().hides("float16") && name == VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME) ||
           (machine().hides("integer_dot_product") && name == VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME) ||
           (machine().hides("cooperative_matrix") && name == VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) ||
           (machine().hides("memory_budget") && name == VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) ||
           (machine().hides("external_memory_host") && name == VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) ||
           machine().hides(name);
}

void lend(std::vector<VkExtensionProperties> &extensions, const char *name, uint32_t version) {
    const auto same = [&](const VkExtensionProperties &one) { return std::strcmp(one.extensionName, name) == 0; };
    if (std::none_of(extensions.begin(), extensions.end(), same)) {
        VkExtensionProperties lent{};
        copy_name(lent.extensionName, sizeof lent.extensionName, name);
        lent.specVersion = version;
        extensions.push_back(lent);
    }
}

VkResult VKAPI_CALL enumerate_extensions(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                         VkExtensionProperties *properties) {
    const auto enumerate = instance_of(physical)->next.EnumerateDeviceExtensionProperties;
    if (layer != nullptr) {
        return enumerate(physical, layer, count, properties);
    }
    uint32_t below = 0;
    enumerate(physical, nullptr, &below, nullptr);
    std::vector<VkExtensionProperties> extensions(below);
    const VkResult result = enumerate(physical, nullptr, &below, extensions.data());
    if (result < 0) {
        return result;
    }
    extensions.resize(below);
    if (!machine().heaps.empty()) {
        lend(extensions, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, VK_EXT_MEMORY_BUDGET_SPEC_VERSION);
    }
    if (machine().compute_units != 0) {
        lend(extensions, VK_AMD_SHADER_CORE_PROPERTIES_2_EXTENSION_NAME, VK_AMD_SHADER_CORE_PROPERTIES_2_SPEC_VERSION);
    }
    extensions.erase(std::remove_if(extensions.begin(), extensions.end(),
                                    [](const VkExtensionProperties &one) { return hidden(one.extensionName); }),
                     extensions.end());
    if (properties == nullptr) {
        *count = static_cast<uint32_t>(extensions.size());
        return VK_SUCCESS;
    }
    *count = std::min(*count, static_cast<uint32_t>(extensions.size()));
    std::copy_n(extensions.begin(), *count, properties);
    return *count < extensions.size() ? VK_INCOMPLETE : VK_SUCCESS;
}

}  // namespace

const Functions &physical_device_functions() {
    static const Functions functions{
        {"vkGetPhysicalDeviceProperties", as_function(get_properties)},
        {"vkGetPhysicalDeviceProperties2", as_function(get_properties2)},
        {"vkGetPhysicalDeviceProperties2KHR", as_function(get_properties2)},
        {"vkGetPhysicalDeviceFeatures2", as_function(get_features2)},
        {"vkGetPhysicalDeviceFeatures2KHR", as_function(get_features2)},
        {"vkGetPhysicalDeviceMemoryProperties", as_function(get_memory)},
        {"vkGetPhysicalDeviceMemoryProperties2", as_function(get_memory2)},
        {"vkGetPhysicalDeviceMemoryProperties2KHR", as_function(get_memory2)},
        {"vkEnumerateDeviceExtensionProperties", as_function(enumerate_extensions)},
    };
    return functions;
}

}  // namespace rig
