// What a job has reported and nobody has read yet.
#pragma once

#include <deque>

#include "base/sdpy.h"

namespace sdpy {

// Holds back so many, where nobody reads them: then the oldest log lines are dropped, and if there are none, progress inside
// of phases. Each phase is still seen to begin at 0 and to reach 1. Not for two threads at once.
class EventQueue {
   public:
    void push(const sdpy_event &event);
    bool empty() const { return events_.empty(); }
    size_t size() const { return events_.size(); }
    sdpy_event pop();
    void clear() { events_.clear(); }

   private:
    std::deque<sdpy_event> events_;
};

}  // namespace sdpy
