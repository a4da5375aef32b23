// Threads that come to their end, and how many the system grants.
#pragma once

#include <functional>
#include <thread>
#include <vector>

namespace sdpy {

// Threads that are joined on every way out: one that is destroyed unjoined ends the process.
class JoinedThreads {
   public:
    // `release` tells them to end. It is called before they are joined, more than once, and must not throw.
    explicit JoinedThreads(std::function<void()> release) : release_(std::move(release)) {}
    ~JoinedThreads() { join(); }
    JoinedThreads(const JoinedThreads &) = delete;
    JoinedThreads &operator=(const JoinedThreads &) = delete;

    // Throws std::system_error where the system refuses one, and std::bad_alloc.
    template <typename Work>
    void start(Work &&work) {
        threads_.emplace_back(std::forward<Work>(work));
    }
    size_t size() const { return threads_.size(); }
    void join() {
        release_();
        for (std::thread &thread : threads_) {
            thread.join();
        }
        threads_.clear();
    }

   private:
    std::function<void()> release_;
    std::vector<std::thread> threads_;
};

// Starts so many threads and ends them again. Throws BadSettings where the system refuses one (a container's limit of
// processes, or of address space): later, ggml would give the process up over it. `before_each`, with the number of those
// that run, is for failing on purpose.
void check_threads(int threads, void (*before_each)(size_t started) = nullptr);

}  // namespace sdpy
