// What one job shares with the overrides it passes through: its cancel flag, its progress, its log.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

#include "base/sdpy.h"

namespace sdpy {

class KeptSteps;
class PartWeights;

// Thrown where a phase that is only measured would allocate its compute buffer.
struct Measured {
    uint64_t working_bytes;
    int tokens = 0;                // of the prompt, its template included, in the phase that has one
    std::string unsupported = {};  // what the device cannot compute of the phase; "" where it can do all
};

class Run {
   public:
    using Sink = std::function<void(const sdpy_event &)>;

    explicit Run(Sink sink) : sink_(std::move(sink)) {}

    // The job of this thread; null on a thread that runs none.
    static Run *current();
    // Makes `run` the job of this thread as long as the object lives.
    class Scope {
       public:
        explicit Scope(Run *run);
        ~Scope();

       private:
        Run *previous_;
    };

    void cancel() { cancelled_ = true; }
    bool cancelled() const { return cancelled_; }
    // For those who compute for the job and cannot throw. Set once, and never taken back.
    const std::atomic<bool> &cancel_flag() const { return cancelled_; }
    void check_cancelled() const;  // throws Cancelled

    // A phase is made of `steps` steps (sampling steps or tiles, or 1), each of `graphs` graph computations.
    void begin_phase(sdpy_phase phase, int steps, int graphs);
    void end_phase();
    void step_done(int step, int steps);
    // Until `tell_of_step`, a step that is done is not told of: who hears of it may count on what is kept of it.
    void hold_step() { holding_ = true; }
    void tell_of_step();
    void graph_progress(double fraction);  // of the graph that is being computed
    void graph_done();
    // Whether the graph that was computed last is the first one of denoising.
    bool first_of_denoising() const { return phase_ == SDPY_PHASE_DENOISE && step_ == 0 && graph_ == 0; }
    bool decoding() const { return phase_ == SDPY_PHASE_DECODE; }
    void bytes_read(uint64_t bytes, uint64_t total);

    void log(sdpy_log_level level, const std::string &text);
    std::string last_lines() const;
    std::string last_error() const;

    // Between enter and leave a graph is computed; on a CPU by a pool of threads, where nothing may be thrown.
    void enter_graph(bool pool) {
        in_pool_ = pool;
        in_graph_ = true;
    }
    void leave_graph() { in_graph_ = in_pool_ = false; }
    bool in_graph() const { return in_graph_; }
    bool in_pool() const { return in_pool_; }

    // Says that a backend was left in the middle of a graph: its bookkeeping cannot be trusted any more.
    void spoil() { spoiled_ = true; }
    bool spoiled() const { return spoiled_; }

    // Where what the denoiser gives is kept, and was kept before; null where it is not.
    KeptSteps *kept_steps() const { return kept_steps_; }
    void keep_steps(KeptSteps *kept) { kept_steps_ = kept; }
    // A fault for the tests, which comes after so many steps; less than 1: none.
    struct DueFault {
        int fault = 0, after_steps = 0;
    };
    DueFault due_fault;

    // The part whose graphs are built and computed now; null between phases.
    PartWeights *part() const { return part_; }
    // Whether graphs are built only to learn what they would need: they end with Measured, and nothing is reported.
    bool measuring() const { return measuring_; }
    class PartScope {
       public:
        PartScope(Run &run, PartWeights &part) : run_(run) { run_.part_ = &part; }
        ~PartScope() { run_.part_ = nullptr; }

       private:
        Run &run_;
    };
    class Measuring {
       public:
        explicit Measuring(Run &run) : run_(run) { run_.measuring_ = true; }
        ~Measuring() { run_.measuring_ = false; }

       private:
        Run &run_;
    };

   private:
    void report(double fraction);
    double fraction_now() const;

    Sink sink_;
    std::atomic<bool> cancelled_{false};
    std::atomic<bool> in_graph_{false}, in_pool_{false}, spoiled_{false};
    KeptSteps *kept_steps_ = nullptr;
    PartWeights *part_ = nullptr;
    bool measuring_ = false;

    sdpy_phase phase_ = SDPY_PHASE_LOAD;
    int steps_ = 1, step_ = 0;
    int graphs_ = 1, graph_ = 0;
    double graph_fraction_ = 0;
    uint64_t bytes_ = 0, total_bytes_ = 0;
    double reported_ = -1;
    int reported_step_ = 0;
    bool holding_ = false;
    int held_step_ = 0;

    // Closes the race between the job's own thread and the loader's threads, which both log.
    mutable std::mutex lines_mutex_;
    std::deque<std::string> lines_;
    std::string last_error_;
};

}  // namespace sdpy
