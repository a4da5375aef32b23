// The threads that compute an engine's graphs on the CPU.
#pragma once

#include <atomic>
#include <vector>

#include "ggml-backend.h"

namespace sdpy {

// Lets a CPU's backend end a graph between nodes, and within products and attention (overrides/ggml_cpu.c), where the flag is
// set: it gives GGML_STATUS_ABORTED then, and can compute the next one. The flag must live until null is given in its place.
// For other backends it does nothing.
void heed_cancelling(ggml_backend_t backend, const std::atomic<bool> *cancelled);

// A pool of ggml's, whose threads sleep between graphs and, after a moment, where they wait for each other (overrides/ggml_cpu.c).
// Without one ggml starts threads for each graph and ends them after it. Not for two jobs at once.
class CpuThreads {
   public:
    // For those of an engine's backends that are a CPU's; each may come up more than once.
    explicit CpuThreads(const std::vector<ggml_backend_t> &backends);
    // While no graph is computed. The backends are not touched.
    ~CpuThreads();
    CpuThreads(const CpuThreads &) = delete;
    CpuThreads &operator=(const CpuThreads &) = delete;

    // Has as many threads as graphs that come next are computed with, the job's own one included.
    void provide(int threads);

   private:
    void give(ggml_threadpool *pool) const;
    void end();

    std::vector<ggml_backend_t> backends_;
    ggml_threadpool *pool_ = nullptr;
    int threads_ = 0;
};

}  // namespace sdpy
