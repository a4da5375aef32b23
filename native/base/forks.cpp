#include "base/forks.h"

#include <pthread.h>

#include <chrono>
#include <new>
#include <thread>
#include <vector>

#include "ggml-threading.h"

namespace sdpy {

namespace {

struct Lock {
    std::mutex *mutex;
    bool taken;
};

// Who forks waits for so long at most.
constexpr std::chrono::milliseconds patience{200};

struct Forks {
    // Closes the race of threads that use a lock of the process for the first time with one that forks.
    std::mutex mutex;
    std::vector<Lock> locks;
    std::vector<void (*)()> let_go;
};

Forks &forks() {
    static auto *forks = new Forks;  // never destroyed, as the locks
    return *forks;
}

bool take_all() {
    bool all = true;
    for (Lock &lock : forks().locks) {
        lock.taken = lock.mutex->try_lock();
        all = all && lock.taken;
    }
    return all;
}

void give_back() {
    for (Lock &lock : forks().locks) {
        if (lock.taken) {
            lock.mutex->unlock();
            lock.taken = false;
        }
    }
}

// All at once or none: a thread that has one of them may be waiting for another.
void before() {
    forks().mutex.lock();
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!take_all() && std::chrono::steady_clock::now() < end) {
        give_back();
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    ggml_critical_section_start();  // of ggml's own; nobody keeps it for longer than a moment
}

void in_parent() {
    ggml_critical_section_end();
    give_back();
    forks().mutex.unlock();
}

void in_child() {
    ggml_critical_section_end();
    for (Lock &lock : forks().locks) {
        if (!lock.taken) {
            new (lock.mutex) std::mutex;
        }
    }
    give_back();
    forks().mutex.unlock();
    for (const auto let_go : forks().let_go) {
        let_go();
    }
}

Forks &watched() {
    static const int failed = pthread_atfork(before, in_parent, in_child);
    static_cast<void>(failed);  // for want of memory: then a fork is what it is without this
    return forks();
}

}  // namespace

ForkedMutex::ForkedMutex(std::mutex &mutex) {
    std::lock_guard<std::mutex> lock(watched().mutex);
    forks().locks.push_back({&mutex, false});
}

void after_fork(void (*let_go)()) {
    std::lock_guard<std::mutex> lock(watched().mutex);
    forks().let_go.push_back(let_go);
}

}  // namespace sdpy
