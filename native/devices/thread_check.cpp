#include "devices/thread_check.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>

#include "base/errors.h"

namespace sdpy {

void check_threads(int threads, void (*before_each)(size_t started)) {
    std::mutex mutex;  // closes the race with a thread that is about to wait
    std::condition_variable all_there;
    bool enough = false;
    JoinedThreads some([&] {
        std::lock_guard<std::mutex> lock(mutex);
        enough = true;
        all_there.notify_all();
    });
    try {
        while (some.size() < static_cast<size_t>(threads)) {
            if (before_each != nullptr) {
                before_each(some.size());
            }
            some.start([&] {
                std::unique_lock<std::mutex> lock(mutex);
                all_there.wait(lock, [&] { return enough; });
            });
        }
    } catch (const std::system_error &) {
        throw BadSettings("threads is " + std::to_string(threads) +
                          ", and the system gives this process no more than " + std::to_string(some.size()) + " now");
    }
}

}  // namespace sdpy
