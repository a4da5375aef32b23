// What callers name by a pointer that is none: a number that is given once and never again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "base/forks.h"

namespace sdpy {

// The objects of one kind that callers have. Any thread may name an object that another has freed, and when a program ends,
// threads that nobody waits for do: they are told so. Whoever is inside a call keeps the object until he comes out.
template <typename Object>
class Handles {
   public:
    // `what`: in the message for an object that is gone.
    explicit Handles(const char *what) : what_(what) {}

    Object *add(std::shared_ptr<Object> object) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (ended_) {
            throw Closed("the program is ending, and opens no " + what_ + " any more");
        }
        objects_.emplace(++last_, std::move(object));
        return reinterpret_cast<Object *>(last_);
    }

    // Null where it is gone.
    std::shared_ptr<Object> find(Object *handle) {
        std::lock_guard<std::mutex> lock(mutex_);
        const auto found = objects_.find(reinterpret_cast<uintptr_t>(handle));
        return found == objects_.end() ? nullptr : found->second;
    }

    // Throws Closed where it is gone.
    std::shared_ptr<Object> get(Object *handle) {
        std::shared_ptr<Object> object = find(handle);
        if (object == nullptr) {
            throw Closed("this " + what_ + " is closed");
        }
        return object;
    }

    // From now on it is gone. Null where it was before.
    std::shared_ptr<Object> take(Object *handle) {
        std::lock_guard<std::mutex> lock(mutex_);
        const auto found = objects_.find(reinterpret_cast<uintptr_t>(handle));
        if (found == objects_.end()) {
            return nullptr;
        }
        std::shared_ptr<Object> object = std::move(found->second);
        objects_.erase(found);
        return object;
    }

    // All of them, and there will be no others.
    std::vector<std::shared_ptr<Object>> end() {
        std::lock_guard<std::mutex> lock(mutex_);
        ended_ = true;
        std::vector<std::shared_ptr<Object>> all;
        for (auto &[number, object] : objects_) {
            all.push_back(std::move(object));
        }
        objects_.clear();
        return all;
    }

    // In a fork, what the callers of the first process have is not to be ended: the threads behind it are not there.
    void disown() { static_cast<void>(new auto(std::exchange(objects_, {}))); }

   private:
    const std::string what_;
    std::mutex mutex_;  // closes the races of one thread that frees an object, or ends, against others that name it
    ForkedMutex forked_{mutex_};
    uintptr_t last_ = 0;
    bool ended_ = false;
    std::map<uintptr_t, std::shared_ptr<Object>> objects_;
};

}  // namespace sdpy
