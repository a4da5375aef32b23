#include "jobs/worker.h"

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <new>
#include <set>
#include <system_error>
#include <thread>

#include "base/errors.h"
#include "base/forks.h"
#include "base/status.h"
#include "ggml.h"
#include "jobs/events.h"

namespace sdpy {

namespace {
// Parts of the engine recurse: std::regex, for one, once per character.
constexpr size_t stack_size = 64u << 20;
}  // namespace

struct Worker::Shared {
    enum class State { idle, running, broken, ending };

    // Closes the races between the job's thread, the threads that wait and cancel, and a pool thread whose check failed.
    std::mutex mutex;
    std::condition_variable job_wanted, event_ready;
    State state = State::idle;
    Job job;
    std::unique_ptr<Run> run;
    EventQueue events;
    Outcome outcome;
    std::string detail;
    pthread_t thread{};
    bool left = false;  // the thread has nothing more to do
    Remains remains = Remains::clean;

    void push(const sdpy_event &event) {
        std::lock_guard<std::mutex> lock(mutex);
        if (state != State::running) {
            return;
        }
        events.push(event);
        event_ready.notify_all();
    }

    void finish(Outcome ended, State next) {
        std::lock_guard<std::mutex> lock(mutex);
        if (state == State::broken) {
            return;
        }
        if (ended.status == SDPY_DEVICE_LOST) {
            remains = Remains::lost;
        } else if (run && run->spoiled() && remains == Remains::clean) {
            remains = Remains::spoiled;
        }
        outcome = std::move(ended);
        try {
            detail = run ? run->last_lines() : "";
        } catch (const std::bad_alloc &) {
            detail.clear();
        }
        if (state != State::ending || next == State::broken) {
            state = next;
        }
        event_ready.notify_all();
    }

    void loop() {
        for (;;) {
            Job next;
            {
                std::unique_lock<std::mutex> lock(mutex);
                job_wanted.wait(lock, [&] { return job || state == State::ending; });
                if (!job) {
                    left = true;
                    event_ready.notify_all();
                    return;
                }
                next = std::move(job);
                job = nullptr;
            }
            Outcome ended;
            try {
                ThrowingAllowed allowed;
                Run::Scope scope(run.get());
                next(*run);
            } catch (...) {
                ended = outcome_of_current_exception();
            }
            next = nullptr;  // what the request copied goes before the caller hears that the job is done
            finish(std::move(ended), State::idle);
        }
    }
};

namespace {

// Workers whose job may be computing on a pool of threads, for a failed check that cannot tell whose it is.
std::mutex &live_mutex() {
    static auto *mutex = new std::mutex;  // never destroyed: parked threads outlive static destructors
    static const ForkedMutex forked(*mutex);
    return *mutex;
}
std::set<void *> &live_workers() {
    static auto *workers = [] {
        after_fork([] { live_workers().clear(); });  // whose threads are not there
        return new std::set<void *>;
    }();
    return *workers;
}

}  // namespace

namespace {

// No error where the system refuses: the thread then runs where the caller's may.
void allow_cpus(pthread_t thread, const std::vector<int> &cpus) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : cpus) {
        if (cpu >= 0 && cpu < CPU_SETSIZE) {
            CPU_SET(cpu, &set);
        }
    }
    if (CPU_COUNT(&set) > 0) {
        static_cast<void>(pthread_setaffinity_np(thread, sizeof set, &set));
    }
}

}  // namespace

Worker::Worker(const std::vector<int> &cpus) : shared_(std::make_shared<Shared>()) {
    auto argument = std::make_unique<std::shared_ptr<Shared>>(shared_);
    {
        std::lock_guard<std::mutex> lock(live_mutex());
        live_workers().insert(shared_.get());  // before there is a thread, which nobody would end if this failed
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_size);
    const int failed = pthread_create(
        &shared_->thread, &attributes,
        [](void *raw) -> void * {
            make_thread_variables();
            std::unique_ptr<std::shared_ptr<Shared>> shared(static_cast<std::shared_ptr<Shared> *>(raw));
            (*shared)->loop();
            return nullptr;
        },
        argument.get());
    pthread_attr_destroy(&attributes);
    if (failed != 0) {
        std::lock_guard<std::mutex> lock(live_mutex());
        live_workers().erase(shared_.get());
        throw std::system_error(failed, std::generic_category(), "cannot start the engine's thread");
    }
    argument.release();  // the thread's own now
    allow_cpus(shared_->thread, cpus);
}

Worker::~Worker() {
    if (!stopped_) {
        stop();
    }
}

Worker::Remains Worker::stop() {
    Remains remains;
    {
        std::unique_lock<std::mutex> lock(shared_->mutex);
        if (shared_->state != Shared::State::broken) {
            shared_->state = Shared::State::ending;
            if (shared_->run) {
                shared_->run->cancel();
            }
        }
        shared_->job_wanted.notify_all();
        // Not simply a join: a check may fail on a pool thread even now, and the job's thread then never comes back.
        shared_->event_ready.wait(lock, [&] { return shared_->left || shared_->state == Shared::State::broken; });
        remains = !shared_->left ? Remains::threads : shared_->remains;
    }
    {
        std::lock_guard<std::mutex> lock(live_mutex());
        live_workers().erase(shared_.get());
    }
    if (remains == Remains::threads) {
        pthread_detach(shared_->thread);
    } else {
        pthread_join(shared_->thread, nullptr);
    }
    stopped_ = true;
    return remains;
}

void Worker::start(Job job) {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    if (shared_->state == Shared::State::broken) {
        throw FailedCheck("this engine is dead since an earlier failure");
    }
    if (shared_->state == Shared::State::ending) {
        throw Closed("this engine is closed");
    }
    if (shared_->state != Shared::State::idle) {
        throw Busy();
    }
    shared_->events.clear();
    shared_->outcome = {};
    shared_->detail.clear();
    Shared *shared = shared_.get();  // the run lives inside it
    shared_->run = std::make_unique<Run>([shared](const sdpy_event &event) { shared->push(event); });
    shared_->job = std::move(job);
    shared_->state = Shared::State::running;
    shared_->job_wanted.notify_all();
}

bool Worker::wait(int timeout_ms, sdpy_event *event, sdpy_failure *failure) {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    // While another thread frees the engine, its job goes on until it notices.
    const auto computing = [&] {
        return shared_->state == Shared::State::running || (shared_->state == Shared::State::ending && !shared_->left);
    };
    shared_->event_ready.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                                  [&] { return !shared_->events.empty() || !computing(); });
    if (!shared_->events.empty()) {
        *event = shared_->events.pop();
        return true;
    }
    if (computing()) {
        return false;
    }
    // The end is a state and no event: a caller that was interrupted before it could take it in is told again.
    event->kind = SDPY_EVENT_DONE;
    write_failure(failure, shared_->outcome, shared_->detail);
    return true;
}

void Worker::cancel() {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    if (shared_->run && shared_->state == Shared::State::running) {
        shared_->run->cancel();
    }
}

bool Worker::spent() const {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    return shared_->state == Shared::State::broken || shared_->remains != Remains::clean;
}

namespace {

[[noreturn]] void park() {
    for (;;) {
        std::this_thread::sleep_for(std::chrono::hours(24));
    }
}

}  // namespace

struct FailedCheckHandler {
    // On a pool thread nothing may be thrown, not even for want of memory.
    static Outcome broken_by(const char *message) noexcept {
        try {
            return {SDPY_BROKEN, std::string("a check inside the engine failed: ") + message};
        } catch (const std::bad_alloc &) {
            return {SDPY_BROKEN, {}};
        }
    }

    // Called by ggml on whichever thread a check failed.
    static void handle(const char *message) {
        Run *own = Run::current();
        if (ThrowingAllowed::here() && !(own != nullptr && own->in_pool())) {
            throw FailedCheck(message);
        }
        // A pool thread, or one on which a GPU backend compiles, does not know whose graph it works for. With several
        // engines at work all of them are given up: losing a picture is better than waiting for ever for the wrong one.
        std::lock_guard<std::mutex> lock(live_mutex());
        for (void *raw : live_workers()) {
            auto *shared = static_cast<Worker::Shared *>(raw);
            bool computing;
            {
                std::lock_guard<std::mutex> run_lock(shared->mutex);
                computing = shared->run && shared->run->in_graph();
                if (computing) {
                    shared->run->cancel();  // one that is not the culprit need not go on
                }
            }
            if (computing) {
                shared->finish(broken_by(message), Worker::Shared::State::broken);
            }
        }
    }
    static void handle_and_park(const char *message) {
        handle(message);
        park();
    }
};

void install_failed_check_handler() { ggml_set_abort_callback(FailedCheckHandler::handle_and_park); }

}  // namespace sdpy
