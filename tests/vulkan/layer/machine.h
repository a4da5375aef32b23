// The machine that is played and the faults that it has, as the environment says them.
#pragma once

#include <vulkan/vulkan.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace rig {

struct Heap {
    VkDeviceSize size = 0;
    bool local = false;
    VkDeviceSize taken = 0;  // what other programs have of it
};

struct MemoryType {
    uint32_t heap = 0;
    VkMemoryPropertyFlags flags = 0;
    bool for_buffers = true;
    bool for_imports = false;  // the one that memory of the process is imported as
};

enum class Refusal { by_heap, by_total, never };
enum class Loss { at_wait, at_submit };
enum class Spoiling { nan, zeros, noise, clamped, scaled };

struct Machine {
    // What it says of itself. Empty or 0: as the driver below says.
    std::string name;
    uint32_t vendor = 0, device = 0;
    VkPhysicalDeviceType type = VK_PHYSICAL_DEVICE_TYPE_OTHER;
    std::string driver, driver_info;
    VkDriverId driver_id = static_cast<VkDriverId>(0);
    std::map<uint32_t, Heap> heaps;
    std::map<uint32_t, MemoryType> types;
    VkDeviceSize max_allocation = 0, max_buffer = 0, max_storage_range = 0;
    uint32_t compute_units = 0;
    std::set<std::string> hidden;

    // What it does with what it is given.
    Refusal refuses = Refusal::by_heap;
    bool imports = true;        // memory of the process
    double tflops = 0;          // 10^12 operations a second
    double watchdog = 0;        // seconds; 0: none
    double element_cost = 100;  // operations that an element costs which is only moved (work.h)
    bool computes = true;
    bool keeps_pace = false;

    // Faults. Numbers count from 1; 0: never.
    uint64_t lose_at = 0;
    Loss lost = Loss::at_wait;
    uint64_t fail_allocation = 0;
    std::string spoil;  // a pattern of shell for names or hashes of shaders
    Spoiling spoiling = Spoiling::nan;
    float spoil_amount = 1;
    uint64_t spoil_from = 1, spoil_count = UINT64_MAX;
    std::string once;  // a file whose being there says that the fault was had already

    double watchdog_operations() const { return watchdog * tflops * 1e12; }
    bool hides(const std::string &what) const { return hidden.count(what) != 0; }
};

// Read once: the file that SDCPP_RIG_MACHINE names, and over it what SDCPP_RIG_SET says, in which lines are separated
// by ";". Throws std::runtime_error, with the line, where one is not understood.
const Machine &machine();

// Whether a fault happens now. With `once`, only in the first process that asks.
bool may_fail();

}  // namespace rig
