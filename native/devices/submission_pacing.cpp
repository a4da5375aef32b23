#include "devices/submission_pacing.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "devices/devices.h"

namespace sdpy {

namespace {

// Some tens of milliseconds on two CPU cores or on a small GPU: long enough that starting it does not count.
constexpr double usual_cost = 4e9;
constexpr double least_cost = 1e7, most_cost = 1e12;
// What a GPU computes is estimated from other operations than come next: aim at half of what may be.
constexpr double caution = 0.5;

std::atomic<int> target_ms{250};

struct Learnt {
    double cost_per_second = usual_cost / 0.25;
    double longest = 0;
};

struct Devices {
    std::mutex mutex;  // closes the race of engines that compute on one device at the same time
    std::map<std::string, Learnt> learnt;
};

Devices &devices() {
    static auto *devices = new Devices;  // never destroyed: parked threads outlive static destructors
    return *devices;
}

}  // namespace

Pace Pace::of(ggml_backend_t backend) {
    return Pace(runs_on_cpu(backend) ? "" : ggml_backend_dev_name(ggml_backend_get_device(backend)));
}

double Pace::slice_cost() const {
    if (device_.empty()) {
        return usual_cost;
    }
    std::lock_guard<std::mutex> lock(devices().mutex);
    const double in_time = devices().learnt[device_].cost_per_second * target_ms / 1000;
    return std::clamp(in_time * caution, least_cost, most_cost);
}

void Pace::computed(double cost, double seconds, int nodes) {
    if (device_.empty() || cost <= 0 || seconds <= 0) {
        return;
    }
    std::lock_guard<std::mutex> lock(devices().mutex);
    Learnt &learnt = devices().learnt[device_];
    const double now = cost / seconds;
    // Slower is believed at once, unless the time is mostly that of starting; faster by and by, because cheap operations
    // may only have been overestimated.
    if (now >= learnt.cost_per_second || seconds * 1000 * 20 >= target_ms) {
        learnt.cost_per_second = std::min(now, learnt.cost_per_second * 1.05);
    }
    if (nodes > 1) {
        learnt.longest = std::max(learnt.longest, seconds * 1000);
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
