#include "devices/cpu_threads.h"

#include <algorithm>
#include <iterator>

#include "devices/devices.h"
#include "ggml-cpu.h"

namespace sdpy {

namespace {

// Functions of the loaded CPU module.
template <typename Function>
Function *of_cpu_module(const char *name) {
    return reinterpret_cast<Function *>(ggml_backend_reg_get_proc_address(ggml_backend_reg_by_name("CPU"), name));
}

}  // namespace

void heed_cancelling(ggml_backend_t backend, const std::atomic<bool> *cancelled) {
    if (runs_on_cpu(backend)) {
        const auto look = [](void *flag) {
            return static_cast<const std::atomic<bool> *>(flag)->load(std::memory_order_relaxed);
        };
        of_cpu_module<decltype(ggml_backend_cpu_set_abort_callback)>("ggml_backend_set_abort_callback")(
            backend, cancelled == nullptr ? nullptr : static_cast<ggml_abort_callback>(look),
            const_cast<std::atomic<bool> *>(cancelled));
    }
}

CpuThreads::CpuThreads(const std::vector<ggml_backend_t> &backends) {
    std::copy_if(backends.begin(), backends.end(), std::back_inserter(backends_), runs_on_cpu);
}

CpuThreads::~CpuThreads() { end(); }

void CpuThreads::provide(int threads) {
    if (threads == threads_ || backends_.empty()) {
        return;
    }
    give(nullptr);  // ggml looks at the pool that it had when it gets another
    end();
    ggml_threadpool_params params{};  // no mask of CPUs: threads run where this one may
    params.n_threads = threads;
    params.prio = GGML_SCHED_PRIO_NORMAL;
    params.poll = 0;  // its unit is some milliseconds of spinning
    pool_ = of_cpu_module<decltype(ggml_threadpool_new)>("ggml_threadpool_new")(&params);
    threads_ = threads;
    give(pool_);
}

void CpuThreads::give(ggml_threadpool *pool) const {
    for (ggml_backend_t backend : backends_) {
        of_cpu_module<decltype(ggml_backend_cpu_set_threadpool)>("ggml_backend_cpu_set_threadpool")(backend, pool);
    }
}

void CpuThreads::end() {
    if (pool_ != nullptr) {
        of_cpu_module<decltype(ggml_threadpool_free)>("ggml_threadpool_free")(pool_);
        pool_ = nullptr;
        threads_ = 0;
    }
}

}  // namespace sdpy
