// Looking at what a part gave.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "base/errors.h"

namespace sdpy {

// Throws NotNumbers where one of the values is no number (or infinite, unless that is allowed).
inline void check_numbers(const char *part, const float *values, int64_t count, bool infinite_too = false) {
    for (int64_t i = 0; i < count; ++i) {
        if (infinite_too ? std::isnan(values[i]) : !std::isfinite(values[i])) {
            throw NotNumbers(std::string("the ") + part +
                             " gave values that are not numbers, so there is no picture: its file is damaged, or "
                             "the values passed the range of the 16-bit numbers that some GPUs compute with; get "
                             "the file again, or compute this part on the CPU");
        }
    }
}

}  // namespace sdpy
