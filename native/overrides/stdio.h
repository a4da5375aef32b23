/* Forced into every translation unit of the engine and of ggml's GPU modules (see CMakeLists.txt): what they would print
 * goes to ggml's log instead, from where it reaches Python's logging. A library prints nothing.
 */
#ifndef SDPY_QUIET_H
#define SDPY_QUIET_H

#include <stdarg.h>
#include <stdio.h>

#include "ggml.h"

#ifdef __cplusplus
#include <cstdio>
#include <iostream>
#include <streambuf>
#include <string>
extern "C" {
#endif
/* Exported by ggml, declared in a header of its own that clashes with some of the engine's. */
GGML_API void ggml_log_internal(enum ggml_log_level level, const char *format, ...);
#ifdef __cplusplus
}
#endif

static inline int sdpy_quiet_vfprintf(FILE *stream, const char *format, va_list arguments) {
    if (stream != stdout && stream != stderr) {
        return vfprintf(stream, format, arguments);
    }
    char line[1024];
    const int length = vsnprintf(line, sizeof line, format, arguments);
    ggml_log_internal(stream == stderr ? GGML_LOG_LEVEL_WARN : GGML_LOG_LEVEL_INFO, "%s", line);
    return length;
}

static inline int sdpy_quiet_fprintf(FILE *stream, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int length = sdpy_quiet_vfprintf(stream, format, arguments);
    va_end(arguments);
    return length;
}

static inline int sdpy_quiet_printf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int length = sdpy_quiet_vfprintf(stdout, format, arguments);
    va_end(arguments);
    return length;
}

#ifdef __cplusplus
namespace sdpy {
/* Collects characters up to a line break and logs the line. One per thread, because streams are not synchronised. */
class LogStreamBuffer : public std::streambuf {
    std::string line_;
    int overflow(int character) override {
        if (character == '\n' || line_.size() >= 1000) {
            ggml_log_internal(GGML_LOG_LEVEL_WARN, "%s\n", line_.c_str());
            line_.clear();
        }
        if (character != '\n' && character != traits_type::eof()) {
            line_.push_back(static_cast<char>(character));
        }
        return 0;
    }
};
inline std::ostream &log_stream() {
    static thread_local LogStreamBuffer buffer;
    static thread_local std::ostream stream(&buffer);
    return stream;
}
}  // namespace sdpy
/* The engine writes both `printf` and `std::printf`, so the substitutes must be found in both places. */
namespace std {
using ::sdpy_quiet_fprintf;
using ::sdpy_quiet_printf;
inline std::ostream &sdpy_log_stream() { return ::sdpy::log_stream(); }
}  // namespace std
#define cout sdpy_log_stream()
#define cerr sdpy_log_stream()
#endif

#define printf sdpy_quiet_printf
#define fprintf sdpy_quiet_fprintf

#endif
