#include "jobs/events.h"

#include <algorithm>

namespace sdpy {

namespace {

constexpr size_t kept_events = 2000;

bool is_log(const sdpy_event &event) { return event.kind == SDPY_EVENT_LOG; }
// Neither a phase's start nor its end.
bool is_inside(const sdpy_event &event) {
    return event.kind == SDPY_EVENT_PROGRESS && event.fraction > 0 && event.fraction < 1;
}

}  // namespace

void EventQueue::push(const sdpy_event &event) {
    // Progress that nobody has read yet is replaced by newer progress of the same step: however slow the reader is, he
    // hears of every step.
    if (is_inside(event) && !events_.empty() && is_inside(events_.back()) && events_.back().phase == event.phase &&
        events_.back().step == event.step) {
        events_.back() = event;
        return;
    }
    if (events_.size() >= kept_events) {
        auto least = std::find_if(events_.begin(), events_.end(), is_log);
        if (least == events_.end()) {
            least = std::find_if(events_.begin(), events_.end(), is_inside);
        }
        if (least != events_.end()) {
            events_.erase(least);
        }
    }
    events_.push_back(event);
}

sdpy_event EventQueue::pop() {
    const sdpy_event first = events_.front();
    events_.pop_front();
    return first;
}

}  // namespace sdpy
