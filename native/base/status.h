// Where C++ ends: every exception becomes a status, a sentence and the engine's last lines.
#pragma once

#include <string>

#include "base/sdpy.h"

namespace sdpy {

struct Outcome {
    sdpy_status status = SDPY_OK;
    std::string message;
};

// To be called inside a catch block: what the exception in flight means.
Outcome outcome_of_current_exception() noexcept;

void write_failure(sdpy_failure *failure, const Outcome &outcome, const std::string &detail) noexcept;
void copy_text(char *destination, size_t size, const std::string &text) noexcept;

// Has this thread's own variables made now, C++'s for exceptions among them. They are else when they are first used, and where
// there is no memory for them then, the dynamic linker ends the process with 127.
void make_thread_variables() noexcept;

// Marks this thread as one where a failed check may be thrown, because `guarded` catches it.
class ThrowingAllowed {
   public:
    ThrowingAllowed();
    ~ThrowingAllowed();
    static bool here();
};

// Runs `body`; returns its status and fills `failure`. Lets nothing out.
template <typename Body>
int guarded(sdpy_failure *failure, Body &&body) noexcept {
    Outcome outcome;
    try {
        ThrowingAllowed allowed;
        body();
    } catch (...) {
        outcome = outcome_of_current_exception();
    }
    write_failure(failure, outcome, "");
    return outcome.status;
}

}  // namespace sdpy
