#include "jobs/run.h"

#include <algorithm>
#include <utility>

#include "base/errors.h"
#include "base/status.h"

namespace sdpy {

namespace {
thread_local Run *current_run = nullptr;
constexpr size_t kept_lines = 40;
}  // namespace

Run *Run::current() { return current_run; }
Run::Scope::Scope(Run *run) : previous_(current_run) { current_run = run; }
Run::Scope::~Scope() { current_run = previous_; }

void Run::check_cancelled() const {
    if (cancelled_) {
        throw Cancelled();
    }
}

void Run::begin_phase(sdpy_phase phase, int steps, int graphs) {
    phase_ = phase;
    steps_ = std::max(1, steps);
    graphs_ = std::max(1, graphs);
    step_ = graph_ = 0;
    graph_fraction_ = 0;
    bytes_ = total_bytes_ = 0;
    reported_ = -1;
    holding_ = false;
    held_step_ = 0;
    report(0);
}

void Run::end_phase() {
    step_ = steps_;
    bytes_ = total_bytes_;
    graph_ = 0;
    graph_fraction_ = 0;
    report(1);
}

void Run::step_done(int step, int steps) {
    if (holding_) {
        held_step_ = step;
        return;
    }
    steps_ = std::max(1, steps);
    step_ = std::min(step, steps_);
    graph_ = 0;
    graph_fraction_ = 0;
    report(fraction_now());
}

void Run::tell_of_step() {
    holding_ = false;
    if (held_step_ > 0) {
        step_done(std::exchange(held_step_, 0), steps_);
    }
}

void Run::graph_progress(double fraction) {
    graph_fraction_ = fraction;
    report(fraction_now());
}

void Run::graph_done() {
    // A sampler may compute more graphs in a step than was foretold (its first steps differ); the fraction then stays
    // just below the step's end until the step is done.
    graph_ = std::min(graph_ + 1, graphs_);
    graph_fraction_ = 0;
    report(fraction_now());
}

double Run::fraction_now() const {
    const double in_step = std::min((graph_ + graph_fraction_) / graphs_, 1.0);
    // 1 is said once, by end_phase, when the phase's result exists.
    return std::min((step_ + in_step) / steps_, 0.999);
}

void Run::bytes_read(uint64_t bytes, uint64_t total) {
    bytes_ = bytes;
    total_bytes_ = total;
    report(total == 0 ? 0 : std::min(static_cast<double>(bytes) / static_cast<double>(total), 0.999));
}

void Run::report(double fraction) {
    // A step that ends where its last graph did is told of as well.
    const bool is_news = fraction > reported_ || (fraction == reported_ && step_ != reported_step_);
    if (!is_news || measuring_) {
        return;
    }
    reported_ = fraction;
    reported_step_ = step_;
    sdpy_event event{};
    event.kind = SDPY_EVENT_PROGRESS;
    event.phase = phase_;
    event.fraction = reported_;
    event.step = step_;
    event.steps = phase_ == SDPY_PHASE_DENOISE || phase_ == SDPY_PHASE_DECODE ? steps_ : 0;
    event.bytes = bytes_;
    event.total_bytes = total_bytes_;
    sink_(event);
}

void Run::log(sdpy_log_level level, const std::string &text) {
    std::string line = text;
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) {
        line.pop_back();
    }
    if (line.empty()) {
        return;
    }
    if (level >= SDPY_LOG_INFO) {
        std::lock_guard<std::mutex> lock(lines_mutex_);
        lines_.push_back(line.substr(0, 400));
        if (lines_.size() > kept_lines) {
            lines_.pop_front();
        }
        if (level == SDPY_LOG_ERROR) {
            last_error_ = line;
        }
    }
    sdpy_event event{};
    event.kind = SDPY_EVENT_LOG;
    event.level = level;
    copy_text(event.text, sizeof event.text, line);
    sink_(event);
}

std::string Run::last_lines() const {
    std::lock_guard<std::mutex> lock(lines_mutex_);
    std::string text;
    for (const std::string &line : lines_) {
        text += line + "\n";
    }
    constexpr size_t room = sizeof(sdpy_failure::detail) - 1;
    return text.size() <= room ? text : text.substr(text.size() - room);
}

std::string Run::last_error() const {
    std::lock_guard<std::mutex> lock(lines_mutex_);
    return last_error_;
}

}  // namespace sdpy
