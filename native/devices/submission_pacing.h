// How much work is handed to a device at once.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "ggml-backend.h"

namespace sdpy {

// Kinds of operations, each of which a device computes at a pace of its own.
enum class WorkKind { product, convolution, other };
constexpr size_t work_kinds = 3;
// By kind, in floating-point operations (overrides/graph_slices.h).
using Costs = std::array<double, work_kinds>;
inline Costs costs_of(const double (&by_kind)[work_kinds]) { return {by_kind[0], by_kind[1], by_kind[2]}; }

// A CPU is given slices of one cost: short enough to be cancelled between. A GPU's driver resets the device when one
// submission takes too long, so there the time of each slice is taken, and the next one is made to fit the target.
class Pace {
   public:
    // The pace of a device, kept for the life of the process: what was learnt in one picture holds for the next.
    static Pace of(ggml_backend_t backend);
    static Pace of_gpu_named(std::string device) { return Pace(std::move(device)); }

    bool of_gpu() const { return !device_.empty(); }
    // What work should take, by what is known.
    double seconds(WorkKind kind, double cost) const { return cost / per_second_[static_cast<size_t>(kind)]; }
    // What the next slice should take at most, by the same.
    double most_seconds() const;
    void computed(const Costs &costs, double seconds);

   private:
    explicit Pace(std::string device);
    std::string device_;  // empty: a CPU
    Costs per_second_;
};

// Tells what was measured of a GPU, in operations a second by kind; 0 where nothing was. It is a promise: the first submission
// of a kind is so small that it lasts no longer than a driver allows though the promise be a hundred times too high, and only
// where it keeps it are the next ones as large as promised. Without effect once the GPU has computed in this process, which
// knows better then; what no device can be is not believed.
void promise_pace(const std::string &device, const Costs &per_second);

// The longest that a submission should take on a GPU, in milliseconds.
void set_submission_target(int milliseconds);

// The longest submission that a device has computed, in milliseconds, since the process began or since the last reset.
double longest_submission(const std::string &device, bool reset);

}  // namespace sdpy
