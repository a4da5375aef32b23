// What is counted, of all devices of the process together, and the file that it is written to.
#pragma once

#include <vulkan/vulkan.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace rig {

struct ShaderCounts {
    uint64_t dispatches = 0;
    double operations = 0;
    std::string hash;
};

struct HeapCounts {
    VkDeviceSize now = 0, most = 0;
};

struct Counts {
    std::mutex mutex;  // closes the race of threads that allocate, record and submit at the same time

    uint64_t allocations = 0;  // asked for, numbered by this
    uint64_t refused_allocations = 0;
    VkDeviceSize largest_allocation = 0, allocated_bytes = 0, imported_bytes = 0;
    std::map<uint32_t, HeapCounts> heaps;

    uint64_t submissions = 0, dispatches = 0, spoiled_dispatches = 0;
    uint64_t uploaded_bytes = 0, downloaded_bytes = 0, copied_bytes = 0;
    double operations = 0;
    double longest_submission = 0;  // in operations
    std::string longest_of;         // the costliest shader in it
    double longest_dispatch = 0;
    std::string longest_dispatch_of;

    uint64_t lost_at = 0;  // the submission that lost the device, or 0
    std::string lost_why;
    std::map<std::string, ShaderCounts> shaders;  // by name
    std::vector<std::string> complaints;          // what this layer was told and could not do
};

// Of the process. Lives until the end, after all destructors.
Counts &counts();

// Writes them into the folder that SDCPP_RIG_COUNTS names, as PROCESS.json. For callers that hold the mutex.
void write_counts_locked();

// The same, no more often than five times a second, for a process that is ended from outside.
void write_counts_sometimes_locked();

}  // namespace rig

// For a process that wants to read its own counts now (ctypes.CDLL on this layer).
extern "C" __attribute__((visibility("default"))) void sdcpp_rig_write_counts();
