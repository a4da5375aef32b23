#include "jobs/fault_injection.h"

#include <atomic>
#include <chrono>
#include <new>
#include <system_error>
#include <thread>

#include "base/errors.h"
#include "devices/thread_check.h"
#include "ggml.h"

namespace sdpy {

namespace {

// What a failed check on a pool thread looks like from the job's own thread: it waits for the others for ever.
void fail_check_in_pool(Run &run) {
    run.enter_graph(true);
    std::thread([] { GGML_ASSERT(false && "a fault was asked for"); }).join();
}

// Whether jobs that were made deaf still are. Not for a while of the clock: who looks at them may be kept waiting himself.
std::atomic<bool> deaf{false};

// The shape of what Vulkan's C++ binding throws.
[[noreturn]] void throw_like_vulkan(const char *result) {
    throw std::system_error(std::make_error_code(std::errc::io_error), std::string("vk::Queue::submit: ") + result);
}

}  // namespace

void cause_fault(sdpy_fault fault, Run &run) {
    if (fault == SDPY_FAULT_DEAF) {
        deaf = true;  // before anybody hears of it, who might end it
    }
    run.log(SDPY_LOG_WARNING, "a fault was asked for");
    switch (fault) {
        case SDPY_FAULT_ASSERTION:
            GGML_ASSERT(false && "a fault was asked for");
            break;
        case SDPY_FAULT_POOLED_ASSERTION:
            fail_check_in_pool(run);
            break;
        case SDPY_FAULT_BAD_ALLOC:
            throw std::bad_alloc();
        case SDPY_FAULT_BAD_ALLOC_AMONG_THREADS:
            check_threads(4, [](size_t started) {
                if (started == 3) {
                    throw std::bad_alloc();
                }
            });
            break;
        case SDPY_FAULT_DEVICE_LOST:
            throw_like_vulkan("ErrorDeviceLost");
        case SDPY_FAULT_DEVICE_MEMORY:
            throw_like_vulkan("ErrorOutOfDeviceMemory");
        case SDPY_FAULT_EXCEPTION:
            throw std::runtime_error("an exception was asked for");
        case SDPY_FAULT_NOT_AN_EXCEPTION:
            throw 42;
        case SDPY_FAULT_BUSY_LOOP:
            for (;;) {
                run.check_cancelled();
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            }
        case SDPY_FAULT_DEAF:
            while (!run.cancelled() || deaf) {
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            }
            throw Cancelled();
    }
    throw BadSettings("no fault has that number");
}

void end_deafness() { deaf = false; }

void fail_if_due(Run &run, int finished_steps) {
    if (run.due_fault.after_steps > 0 && finished_steps >= run.due_fault.after_steps) {
        cause_fault(static_cast<sdpy_fault>(run.due_fault.fault), run);
    }
}

}  // namespace sdpy
