#include "base/status.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include "base/errors.h"

namespace sdpy {

namespace {

thread_local int throwing_allowed = 0;

bool contains(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

// Vulkan's C++ binding throws std::system_error subclasses that are defined inside the loadable module; their message
// ends with the name of the result code, and that is what can be read here.
sdpy_status status_of_text(const std::string &text) {
    if (contains(text, "ErrorDeviceLost")) {
        return SDPY_DEVICE_LOST;
    }
    if (contains(text, "ErrorOutOfDeviceMemory") || contains(text, "ErrorOutOfHostMemory") ||
        contains(text, "exceeds device max")) {
        return SDPY_OUT_OF_MEMORY;
    }
    return SDPY_GENERATION_FAILED;
}

}  // namespace

void make_thread_variables() noexcept {
    // Through a volatile, since a compiler leaves out a call of this function whose result nobody has.
    volatile int used = throwing_allowed;
    used = std::uncaught_exceptions();
    static_cast<void>(used);
}

ThrowingAllowed::ThrowingAllowed() {
    make_thread_variables();
    ++throwing_allowed;
}
ThrowingAllowed::~ThrowingAllowed() { --throwing_allowed; }
bool ThrowingAllowed::here() { return throwing_allowed > 0; }

namespace {

Outcome describe_current_exception() {
    try {
        throw;
    } catch (const Cancelled &error) {
        return {SDPY_CANCELLED, error.what()};
    } catch (const Busy &error) {
        return {SDPY_BUSY, error.what()};
    } catch (const BadSettings &error) {
        return {SDPY_BAD_SETTINGS, error.what()};
    } catch (const LoadFailed &error) {
        return {SDPY_LOAD_FAILED, error.what()};
    } catch (const NotNumbers &error) {
        return {SDPY_NOT_NUMBERS, error.what()};
    } catch (const OutOfMemory &error) {
        return {SDPY_OUT_OF_MEMORY, error.what()};
    } catch (const NoBackend &error) {
        return {SDPY_NO_BACKEND, error.what()};
    } catch (const Closed &error) {
        return {SDPY_CLOSED, error.what()};
    } catch (const FailedCheck &error) {
        // ggml checks that the memory of its bookkeeping was given; that check is the only word it says of it.
        if (contains(error.what(), "mem_buffer != NULL")) {
            return {SDPY_OUT_OF_MEMORY, "the host's memory ran out"};
        }
        return {SDPY_GENERATION_FAILED, std::string("a check inside the engine failed: ") + error.what()};
    } catch (const std::bad_alloc &) {
        return {SDPY_OUT_OF_MEMORY, "the host's memory ran out"};
    } catch (const std::exception &error) {
        return {status_of_text(error.what()), error.what()};
    } catch (...) {
        return {SDPY_GENERATION_FAILED, "the engine threw something that is not an exception"};
    }
}

}  // namespace

Outcome outcome_of_current_exception() noexcept {
    try {
        return describe_current_exception();
    } catch (...) {  // not even the words for it find room
        return {SDPY_OUT_OF_MEMORY, {}};
    }
}

void copy_text(char *destination, size_t size, const std::string &text) noexcept {
    const size_t length = std::min(text.size(), size - 1);
    std::memcpy(destination, text.data(), length);
    destination[length] = '\0';
}

void write_failure(sdpy_failure *failure, const Outcome &outcome, const std::string &detail) noexcept {
    if (failure == nullptr) {
        return;
    }
    failure->status = outcome.status;
    copy_text(failure->message, sizeof failure->message, outcome.message);
    copy_text(failure->detail, sizeof failure->detail, detail);
}

}  // namespace sdpy
