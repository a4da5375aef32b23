#include "weights/reading_conditions.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>

#include "base/forks.h"

namespace sdpy {

namespace {

struct Arranged {
    std::atomic<uint64_t> bytes_per_second{0}, fault_at{0}, reads{0};
    std::atomic<int> fault{SDPY_READING_WORKS};
    std::atomic<bool> ahead{true};
    std::mutex disk;  // closes the race of threads for a disk that gives so many bytes a second to all together
    ForkedMutex forked{disk};
};

Arranged &arranged() {
    static auto *arranged = new Arranged;  // never destroyed: parked threads outlive static destructors
    return *arranged;
}

}  // namespace

void arrange_reading(const sdpy_reading_conditions &conditions) {
    arranged().fault = SDPY_READING_WORKS;  // not the old one at the new place
    arranged().bytes_per_second = conditions.bytes_per_second;
    arranged().ahead = conditions.not_ahead == 0;
    arranged().fault_at = conditions.fault_at;
    arranged().reads = 0;
    arranged().fault = conditions.fault;
}

uint64_t reads_made() { return arranged().reads; }

bool reads_ahead() { return arranged().ahead; }

ssize_t pread_as_arranged(int descriptor, void *destination, uint64_t bytes, uint64_t offset) {
    const uint64_t rate = arranged().bytes_per_second;
    if (rate > 0) {
        std::lock_guard<std::mutex> lock(arranged().disk);
        std::this_thread::sleep_for(
            std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(rate)));
    }
    const int fault = arranged().fault;
    if (arranged().reads++ == arranged().fault_at && fault != SDPY_READING_WORKS) {
        if (fault == SDPY_READING_ENDS) {
            return 0;
        }
        if (fault == SDPY_READING_FAILS) {
            errno = EIO;
            return -1;
        }
        bytes = (bytes + 1) / 2;
    }
    return pread(descriptor, destination, bytes, static_cast<off_t>(offset));
}

}  // namespace sdpy
