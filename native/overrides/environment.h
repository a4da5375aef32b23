/* Forced into ggml's GPU modules (see CMakeLists.txt), which read the environment whenever a device is opened, on an engine's
 * thread: what they read is a copy, made when the module is loaded. Another thread's `setenv` (Python's `os.environ[...] =`)
 * moves the words that `getenv` is looking through.
 */
#ifndef SDPY_ENVIRONMENT_H
#define SDPY_ENVIRONMENT_H

#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>

namespace sdpy {

inline std::map<std::string, std::string> copy_of_environment() {
    std::map<std::string, std::string> copy;
    for (char **entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string line = *entry;
        const size_t equals = line.find('=');
        if (equals != std::string::npos) {
            copy.emplace(line.substr(0, equals), line.substr(equals + 1));
        }
    }
    return copy;
}

/* Of the module that this is compiled into. Not const: ggml asks for pointers that it could write to. */
static std::map<std::string, std::string> environment_at_load = copy_of_environment();

}  // namespace sdpy

static inline char *sdpy_getenv(const char *name) {
    const auto found = sdpy::environment_at_load.find(name);
    return found == sdpy::environment_at_load.end() ? nullptr : found->second.data();
}

/* ggml also says std::getenv. */
namespace std {
using ::sdpy_getenv;
}

#define getenv sdpy_getenv

#endif
