// Submissions: counted, timed as the machine would take, refused, and lost.
#include <chrono>
#include <thread>

#include "counts.h"
#include "device.h"
#include "machine.h"

namespace rig {

namespace {

Recording sum_of(Device &device, const std::vector<VkCommandBuffer> &buffers) {
    Recording sum;
    std::lock_guard<std::mutex> lock(device.mutex);
    for (VkCommandBuffer buffer : buffers) {
        const Recording &one = device.recordings[buffer];
        sum.dispatches += one.dispatches;
        sum.operations += one.operations;
        sum.uploaded += one.uploaded;
        sum.downloaded += one.downloaded;
        sum.copied += one.copied;
        if (one.costliest > sum.costliest) {
            sum.costliest = one.costliest;
            sum.costliest_name = one.costliest_name;
        }
    }
    return sum;
}

void count(const Recording &sum) {
    Counts &all = counts();
    all.dispatches += sum.dispatches;
    all.operations += sum.operations;
    all.uploaded_bytes += sum.uploaded;
    all.downloaded_bytes += sum.downloaded;
    all.copied_bytes += sum.copied;
    if (sum.operations > all.longest_submission) {
        all.longest_submission = sum.operations;
        all.longest_of = sum.costliest_name;
    }
    if (sum.costliest > all.longest_dispatch) {
        all.longest_dispatch = sum.costliest;
        all.longest_dispatch_of = sum.costliest_name;
    }
}

// Why the machine loses the device over this submission, or nothing. With the lock of the counts held.
std::string why_lost(const Recording &sum) {
    if (counts().submissions == machine().lose_at && may_fail()) {
        return "it was asked for";
    }
    const double most = machine().watchdog_operations();
    if (most > 0 && sum.operations > most) {
        return std::to_string(sum.operations / 1e9) + " GFLOP, most of them in " + sum.costliest_name +
               ", are more than " + std::to_string(most / 1e9) + " in " + std::to_string(machine().watchdog) + " s";
    }
    return "";
}

// Counts a submission; whether the machine loses the device over it.
bool loses_over(const Recording &sum) {
    std::lock_guard<std::mutex> lock(counts().mutex);
    ++counts().submissions;
    count(sum);
    const std::string why = why_lost(sum);
    if (why.empty()) {
        write_counts_sometimes_locked();
        return false;
    }
    counts().lost_at = counts().submissions;
    counts().lost_why = why;
    write_counts_locked();
    return true;
}

// From here on the device is lost. The driver below computes on this CPU what it was given before: a program that frees
// what it had on a lost device, as it may, would take memory and code from under that.
void lose(Device &device) {
    device.next.DeviceWaitIdle(device.handle);
    device.health = Health::lost;
}

// Whether the submission is to be handed on; with `result` otherwise.
bool admit(Device &device, const std::vector<VkCommandBuffer> &buffers, VkResult &result) {
    result = device.health == Health::lost ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
    if (device.health != Health::well) {
        return false;
    }
    if (buffers.empty()) {
        return true;  // for its fence or its semaphores
    }
    const Recording sum = sum_of(device, buffers);
    if (loses_over(sum)) {
        device.health = Health::hangs;
        if (machine().lost == Loss::at_submit) {
            lose(device);
            result = VK_ERROR_DEVICE_LOST;
        }
        return false;
    }
    if (machine().keeps_pace && machine().tflops > 0) {
        std::this_thread::sleep_for(std::chrono::duration<double>(sum.operations / (machine().tflops * 1e12)));
    }
    return true;
}

VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count, const VkSubmitInfo *infos, VkFence fence) {
    const auto device = device_of(queue);
    std::vector<VkCommandBuffer> buffers;
    for (uint32_t i = 0; i < count; ++i) {
        buffers.insert(buffers.end(), infos[i].pCommandBuffers, infos[i].pCommandBuffers + infos[i].commandBufferCount);
    }
    VkResult result;
    return admit(*device, buffers, result) ? device->next.QueueSubmit(queue, count, infos, fence) : result;
}

VkResult VKAPI_CALL submit2(VkQueue queue, uint32_t count, const VkSubmitInfo2 *infos, VkFence fence) {
    const auto device = device_of(queue);
    std::vector<VkCommandBuffer> buffers;
    for (uint32_t i = 0; i < count; ++i) {
        for (uint32_t j = 0; j < infos[i].commandBufferInfoCount; ++j) {
            buffers.push_back(infos[i].pCommandBufferInfos[j].commandBuffer);
        }
    }
    VkResult result;
    return admit(*device, buffers, result) ? device->next.QueueSubmit2(queue, count, infos, fence) : result;
}

// Whoever waits for a device that hangs learns that it is lost.
bool is_lost(Device &device) {
    if (device.health == Health::hangs) {
        lose(device);
    }
    return device.health == Health::lost;
}

VkResult VKAPI_CALL wait_for_fences(VkDevice handle, uint32_t count, const VkFence *fences, VkBool32 all,
                                    uint64_t timeout) {
    const auto device = device_of(handle);
    return is_lost(*device) ? VK_ERROR_DEVICE_LOST : device->next.WaitForFences(handle, count, fences, all, timeout);
}

VkResult VKAPI_CALL fence_status(VkDevice handle, VkFence fence) {
    const auto device = device_of(handle);
    return is_lost(*device) ? VK_ERROR_DEVICE_LOST : device->next.GetFenceStatus(handle, fence);
}

VkResult VKAPI_CALL wait_for_semaphores(VkDevice handle, const VkSemaphoreWaitInfo *info, uint64_t timeout) {
    const auto device = device_of(handle);
    return is_lost(*device) ? VK_ERROR_DEVICE_LOST : device->next.WaitSemaphores(handle, info, timeout);
}

VkResult VKAPI_CALL semaphore_value(VkDevice handle, VkSemaphore semaphore, uint64_t *value) {
    const auto device = device_of(handle);
    return is_lost(*device) ? VK_ERROR_DEVICE_LOST : device->next.GetSemaphoreCounterValue(handle, semaphore, value);
}

// The driver below is waited for even so: what was submitted before may still be computed.
VkResult VKAPI_CALL wait_for_queue(VkQueue queue) {
    const auto device = device_of(queue);
    const VkResult result = device->next.QueueWaitIdle(queue);
    return is_lost(*device) ? VK_ERROR_DEVICE_LOST : result;
}

VkResult VKAPI_CALL wait_for_device(VkDevice handle) {
    const auto device = device_of(handle);
    const VkResult result = device->next.DeviceWaitIdle(handle);
    return is_lost(*device) ? VK_ERROR_DEVICE_LOST : result;
}

}  // namespace

const Functions &submission_functions() {
    static const Functions functions{
        {"vkQueueSubmit", as_function(submit)},
        {"vkQueueSubmit2", as_function(submit2)},
        {"vkQueueSubmit2KHR", as_function(submit2)},
        {"vkQueueWaitIdle", as_function(wait_for_queue)},
        {"vkDeviceWaitIdle", as_function(wait_for_device)},
        {"vkWaitForFences", as_function(wait_for_fences)},
        {"vkGetFenceStatus", as_function(fence_status)},
        {"vkWaitSemaphores", as_function(wait_for_semaphores)},
        {"vkWaitSemaphoresKHR", as_function(wait_for_semaphores)},
        {"vkGetSemaphoreCounterValue", as_function(semaphore_value)},
        {"vkGetSemaphoreCounterValueKHR", as_function(semaphore_value)},
    };
    return functions;
}

}  // namespace rig
