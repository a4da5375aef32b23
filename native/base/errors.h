// The exceptions of the native layer. Each ends as one sdpy_status at the boundary (see base/status.cpp).
#pragma once

#include <stdexcept>
#include <string>

namespace sdpy {

struct Cancelled : std::runtime_error {
    Cancelled() : std::runtime_error("cancelled") {}
};
struct Busy : std::runtime_error {
    Busy() : std::runtime_error("the engine is busy with another job") {}
};
struct BadSettings : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct LoadFailed : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct GenerationFailed : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// A part gave values that are not numbers.
struct NotNumbers : GenerationFailed {
    using GenerationFailed::GenerationFailed;
};
struct OutOfMemory : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct NoBackend : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// The engine was freed, or the program is ending.
struct Closed : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// A GGML_ASSERT that failed, thrown from ggml's abort callback.
struct FailedCheck : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace sdpy
