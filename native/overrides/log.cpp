// The engine's log and progress, which belong to the job of the thread. Graphs and memory: overrides/graph_compute.cpp, overrides/allocation.cpp.
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

#include "jobs/run.h"
#include "stable-diffusion.h"

using sdpy::Run;

void sdpy_engine_log(sd_log_level_t level, const char *file, int line, const char *format, ...) {
    Run *run = Run::current();
    if (run == nullptr) {
        return;
    }
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *slash = std::strrchr(file, '/');
    run->log(static_cast<sdpy_log_level>(level),
             std::string(slash != nullptr ? slash + 1 : file) + ":" + std::to_string(line) + ": " + text);
}

void sdpy_engine_progress(int step, int steps, float) {
    if (Run *run = Run::current()) {
        run->step_done(step, steps);
    }
}
