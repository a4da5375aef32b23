// How much work is handed to a device at once.
#pragma once

#include <cstdint>
#include <string>

#include "ggml-backend.h"

namespace sdpy {

// A CPU is given slices of one cost: short enough to be cancelled between. A GPU's driver resets the device when one
// submission takes too long, so there the time of each slice is taken and the next one is made to fit the target.
class Pace {
   public:
    // The pace of a device, kept for the life of the process: what was learnt in one picture holds for the next.
    static Pace of(ggml_backend_t backend);

    // The cost (overrides/graph_slices.h) that the next slice may have. One node can be costlier, and is then a slice of its own.
    double slice_cost() const;
    void computed(double cost, double seconds, int nodes);

   private:
    explicit Pace(std::string device) : device_(std::move(device)) {}
    std::string device_;  // empty: a CPU
};

// The longest that a slice of several nodes should take on a GPU, in milliseconds.
void set_submission_target(int milliseconds);

// The longest slice of several nodes that a device has computed, in milliseconds, since the process began or since the last
// reset.
double longest_submission(const std::string &device, bool reset);

}  // namespace sdpy
