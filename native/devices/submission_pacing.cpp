#include "devices/submission_pacing.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "base/forks.h"
#include "devices/devices.h"

namespace sdpy {

namespace {

// Some tens of milliseconds on two CPU cores or on a small GPU: long enough that starting it does not count.
constexpr double usual_cost = 4e9, usual_seconds = 0.25;
constexpr double slowest = 1e8, quickest = 1e13;  // operations a second
// What a GPU computes is estimated from other operations than come next: aim at half of what may be.
constexpr double caution = 0.5;
// Of a slice, a kind of work of so much of its time has decided how long it took.
constexpr double decisive = 0.5, noticeable = 0.1;
// Quicker is believed by and by: of one kind, too, some operations are quicker than others.
constexpr double boldness = 1.3;
// Shorter than this part of the target, most of a time may be that of starting.
constexpr double telling = 1.0 / 20;
// A promise is tried with this part of what it says. The target is an eighth of what a driver allows, or less: with half of
// it aimed at, a promise that is a hundred times too high has a submission of 100 / 16 / 2 / 8 = 0.4 of that.
constexpr double trial = 1.0 / 16;
constexpr double absurd = 1e15;

std::atomic<int> target_ms{250};

Costs usual_pace() {
    Costs pace;
    pace.fill(usual_cost / usual_seconds);
    return pace;
}

struct Learnt {
    Costs per_second = usual_pace();
    Costs promised{};  // 0: nothing, or not any more
    bool computed = false;
    double longest = 0;
};

struct Devices {
    std::mutex mutex;  // closes the race of engines that compute on one device at the same time
    ForkedMutex forked{mutex};
    std::map<std::string, Learnt> learnt;
};

Devices &devices() {
    static auto *devices = new Devices;  // never destroyed: parked threads outlive static destructors
    return *devices;
}

}  // namespace

Pace::Pace(std::string device) : device_(std::move(device)), per_second_(usual_pace()) {
    if (of_gpu()) {
        std::lock_guard<std::mutex> lock(devices().mutex);
        per_second_ = devices().learnt[device_].per_second;
    }
}

Pace Pace::of(ggml_backend_t backend) {
    return Pace(runs_on_cpu(backend) ? "" : ggml_backend_dev_name(ggml_backend_get_device(backend)));
}

double Pace::most_seconds() const { return of_gpu() ? caution * target_ms / 1000 : usual_seconds; }

void Pace::computed(const Costs &costs, double seconds) {
    double expected = 0;
    for (size_t kind = 0; kind < work_kinds; ++kind) {
        expected += costs[kind] / per_second_[kind];
    }
    if (!of_gpu() || expected <= 0 || seconds <= 0) {
        return;
    }
    std::lock_guard<std::mutex> lock(devices().mutex);
    Learnt &learnt = devices().learnt[device_];
    const double quicker = expected / seconds;
    const bool tells = seconds * 1000 >= target_ms * telling;
    for (size_t kind = 0; kind < work_kinds; ++kind) {
        const double share = costs[kind] / per_second_[kind] / expected;
        double &pace = learnt.per_second[kind];
        if (quicker >= 1 && share >= decisive) {
            const double believed = std::max(per_second_[kind] * boldness, learnt.promised[kind]);
            pace = std::max(pace, std::min(per_second_[kind] * quicker, believed));
        } else if (quicker < 1 && share >= noticeable && tells) {
            // Slower is believed at once, unless the time is mostly that of starting.
            pace = per_second_[kind] * quicker;
        }
        if (share >= decisive && tells) {
            learnt.promised[kind] = 0;  // kept, or broken
        }
        pace = std::clamp(pace, slowest, quickest);
    }
    learnt.computed = true;
    learnt.longest = std::max(learnt.longest, seconds * 1000);
    per_second_ = learnt.per_second;
}

void promise_pace(const std::string &device, const Costs &per_second) {
    std::lock_guard<std::mutex> lock(devices().mutex);
    Learnt &learnt = devices().learnt[device];
    for (size_t kind = 0; kind < work_kinds && !learnt.computed; ++kind) {
        const double promise = per_second[kind];
        // NaN is on neither side of a number.
        if (promise >= slowest && promise <= absurd) {
            learnt.promised[kind] = std::min(promise, quickest);
            learnt.per_second[kind] = std::max(slowest, learnt.promised[kind] * trial);
        }
    }
}

void set_submission_target(int milliseconds) { target_ms = std::max(1, milliseconds); }

double longest_submission(const std::string &device, bool reset) {
    std::lock_guard<std::mutex> lock(devices().mutex);
    Learnt &learnt = devices().learnt[device];
    const double longest = learnt.longest;
    if (reset) {
        learnt.longest = 0;
    }
    return longest;
}

}  // namespace sdpy
