#include "weights/read_ahead.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "base/status.h"
#include "devices/thread_check.h"
#include "jobs/run.h"

namespace sdpy {

namespace {

// How soon a cancelled job is noticed by who waits.
constexpr std::chrono::milliseconds a_moment(50);

int places_of(const std::vector<ReadAhead::Block> &blocks) {
    int places = 0;
    for (const ReadAhead::Block &block : blocks) {
        places = std::max(places, block.place + 1);
    }
    return places;
}

}  // namespace

ReadAhead::ReadAhead(std::vector<Block> blocks, int threads, bool ahead)
    : blocks_(std::move(blocks)),
      threads_(threads),
      ahead_(ahead),
      host_(std::all_of(blocks_.begin(), blocks_.end(), [](const Block &block) { return fill_host(block.pieces); })),
      in_place_(places_of(blocks_), -1) {}

void ReadAhead::begin(std::vector<int> order, Run *run) {
    if (order.empty()) {
        return;  // what was foretold may still come
    }
    {
        Lock lock(mutex_);
        order_ = std::move(order);
        at_ = 0;
        run_ = run;
        changed_.notify_all();
    }
    if (ahead_ && !thread_.joinable()) {
        try {
            thread_ = std::thread([this] {
                make_thread_variables();
                read_ahead();
            });
        } catch (const std::system_error &) {  // the system gives no more: blocks are read when they are due
        }
    }
}

void ReadAhead::rest() {
    {
        Lock lock(mutex_);
        ending_ = true;
        if (reading_ != nullptr) {
            reading_->queue.stop();
        }
        changed_.notify_all();
    }
    if (thread_.joinable()) {
        thread_.join();
    }
    Lock lock(mutex_);
    ending_ = false;
    failure_ = nullptr;
    run_ = nullptr;
}

bool ReadAhead::caught_up() const {
    Lock lock(mutex_);
    return !thread_.joinable() || failure_ != nullptr || (reading_ == nullptr && next_to_read() < 0);
}

double ReadAhead::waited() const {
    Lock lock(mutex_);
    return waited_;
}

void ReadAhead::read_ahead() {
    Lock lock(mutex_);
    while (!ending_ && !run_->cancelled()) {
        const int block = reading_ == nullptr && failure_ == nullptr ? next_to_read() : -1;
        if (block < 0) {
            changed_.wait_for(lock, a_moment);
            continue;
        }
        try {
            start_reading(block);
        } catch (const std::bad_alloc &) {
            failure_ = std::current_exception();
            failed_ = block;
            continue;
        }
        take_part(lock, reading_);
    }
}

// The first block of those to come that is not in its place, where nothing is in that place which comes earlier.
int ReadAhead::next_to_read() const {
    std::vector<bool> taken(in_place_.size());
    for (size_t ahead = 0; ahead < order_.size(); ++ahead) {
        const int block = order_[(at_ + ahead) % order_.size()];
        const int place = blocks_[block].place;
        if (!taken[place] && in_place_[place] != block) {
            return block;
        }
        taken[place] = true;
    }
    return -1;
}

void ReadAhead::start_reading(int block) {
    reading_ = std::make_shared<Reading>(block, blocks_[block]);
    in_place_[reading_->place] = -1;
}

// Reads with those who read already. Whoever leaves last says how it ended.
void ReadAhead::take_part(Lock &lock, std::shared_ptr<Reading> reading) {
    ++reading->readers;
    Run *run = run_;
    lock.unlock();
    std::exception_ptr failure;
    try {
        reading->queue.work(run);
    } catch (...) {
        failure = std::current_exception();
    }
    lock.lock();
    if (failure && !failure_) {
        failure_ = failure;
        failed_ = reading->block;
    }
    if (--reading->readers == 0) {
        if (reading->queue.complete()) {
            in_place_[reading->place] = reading->block;
        }
        reading_ = nullptr;
        changed_.notify_all();
    }
}

void ReadAhead::take_part_with_all_threads(Lock &lock) {
    const std::shared_ptr<Reading> reading = reading_;
    // A GPU backend's transfers are not made for several threads at once.
    const int most = std::min(threads_, static_cast<int>(reading->queue.size()));
    const int wanted = host_ ? std::max(0, most - 1 - reading->readers) : 0;
    lock.unlock();
    {
        JoinedThreads others([] {});
        try {
            while (others.size() < static_cast<size_t>(wanted)) {
                others.start([this, reading] {
                    Lock own(mutex_);
                    if (reading_ == reading) {
                        take_part(own, reading);
                    }
                });
            }
        } catch (const std::exception &) {  // the system gives no more threads: those that there are read everything
        }
        lock.lock();
        if (reading_ == reading) {
            take_part(lock, reading);
        }
        lock.unlock();
    }
    lock.lock();
}

void ReadAhead::throw_failure_of(int block) {
    const std::exception_ptr failure = std::move(failure_);
    failure_ = nullptr;
    if (failure && failed_ == block) {
        std::rethrow_exception(failure);
    }
    // Another's shows when that one is due, if it is met again.
}

void ReadAhead::wait_for(Lock &lock, int block) {
    const int place = blocks_[block].place;
    while (in_place_[place] != block) {
        throw_failure_of(block);
        run_->check_cancelled();
        if (reading_ == nullptr) {
            start_reading(block);
            take_part_with_all_threads(lock);
        } else if (reading_->place == place && reading_->block != block) {
            reading_->queue.stop();  // it was not foretold rightly
            changed_.wait_for(lock, a_moment);
        } else if (host_ && !reading_->queue.exhausted()) {
            take_part_with_all_threads(lock);
        } else {
            changed_.wait_for(lock, a_moment);
        }
    }
}

void ReadAhead::fetch(size_t position) {
    Lock lock(mutex_);
    at_ = position;
    const int block = order_[position];
    if (in_place_[blocks_[block].place] != block) {
        const auto begin = std::chrono::steady_clock::now();
        wait_for(lock, block);
        waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    changed_.notify_all();  // what was before it in the order gives up its place
}

void ReadAhead::release(size_t position) {
    Lock lock(mutex_);
    at_ = position + 1;
    changed_.notify_all();
}

}  // namespace sdpy
