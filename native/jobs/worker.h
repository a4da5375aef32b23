// One native thread per engine, and the queue of what its jobs report.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/sdpy.h"
#include "jobs/run.h"

namespace sdpy {

struct FailedCheckHandler;

class Worker {
   public:
    using Job = std::function<void(Run &)>;

    // Its thread, and all that this one starts, run on these CPUs; with none, where the caller's thread may.
    explicit Worker(const std::vector<int> &cpus);
    ~Worker();
    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;

    void start(Job job);  // throws Busy; FailedCheck when broken
    bool wait(int timeout_ms, sdpy_event *event, sdpy_failure *failure);
    void cancel();
    // Whether no further job can be done, or none should.
    bool spent() const;

    // What an ended worker leaves: everything in order; a backend that was left in the middle of a graph; a lost device;
    // or threads that sleep for ever inside the job.
    enum class Remains { clean, spoiled, lost, threads };
    // Cancels and waits for a running job. Called by the destructor where nobody did.
    Remains stop();

   private:
    friend struct FailedCheckHandler;
    struct Shared;
    // Shared with the thread itself: a thread that was parked for ever must not lose what it stands on.
    std::shared_ptr<Shared> shared_;
    bool stopped_ = false;
};

// Installs the handler of failed checks (GGML_ASSERT): thrown where that can be caught; elsewhere the job ends as
// SDPY_BROKEN and the thread sleeps for ever, which leaves Python alive.
void install_failed_check_handler();

}  // namespace sdpy
