#include "devices/thread_check.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/errors.h"

namespace sdpy {

void check_threads(int threads) {
    std::mutex mutex;
    std::condition_variable all_there;
    bool enough = false;
    std::vector<std::thread> some;
    some.reserve(static_cast<size_t>(threads));
    std::string refusal;
    try {
        while (some.size() < static_cast<size_t>(threads)) {
            some.emplace_back([&] {
                std::unique_lock<std::mutex> lock(mutex);
                all_there.wait(lock, [&] { return enough; });
            });
        }
    } catch (const std::system_error &) {
        refusal = "threads is " + std::to_string(threads) + ", and the system gives this process no more than " +
                  std::to_string(some.size()) + " now";
    }
    {
        std::lock_guard<std::mutex> lock(mutex);  // closes the race with a thread that is about to wait
        enough = true;
    }
    all_there.notify_all();
    for (std::thread &thread : some) {
        thread.join();
    }
    if (!refusal.empty()) {
        throw BadSettings(refusal);
    }
}

}  // namespace sdpy
