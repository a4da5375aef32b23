// Blocks that come into places in memory before they are computed, read by a thread of their own.
#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "weights/piece_reading.h"

namespace sdpy {

class Run;

// A place holds one block at a time. As soon as what was in it has been computed, the thread reads the next block for it
// in the order of the graph, whose end leads on to its begin: the next step, or the second pass of guidance. The thread
// lives from the first graph of a phase to `rest`; where the system gives none, blocks are read when they are due.
class ReadAhead {
   public:
    struct Block {
        int place;
        std::vector<Piece> pieces;
    };

    // `threads`: of the job, which all read a block that computing waits for.
    ReadAhead(std::vector<Block> blocks, int threads, bool ahead);
    ~ReadAhead() { rest(); }
    ReadAhead(const ReadAhead &) = delete;
    ReadAhead &operator=(const ReadAhead &) = delete;

    // A graph is to be computed that reads blocks in this order. All that follow are of the job of `run`, until `rest`.
    void begin(std::vector<int> order, Run *run);
    // Makes sure that the block at a place of the order is in memory, where it stays until `release`. Nothing that reads
    // its place may be computing. Throws LoadFailed, Cancelled, std::bad_alloc.
    void fetch(size_t position);
    // The block at that place of the order has been computed.
    void release(size_t position);
    // Ends the thread. What is whole in its place stays there.
    void rest();
    // Whether nothing more can be read before the next `release`; as good as that where the thread cannot go on.
    bool caught_up() const;
    // Seconds that `fetch` has waited.
    double waited() const;

   private:
    struct Reading {
        Reading(int number, const Block &what) : block(number), place(what.place), queue(what.pieces) {}
        const int block, place;
        PieceQueue queue;
        int readers = 0;
    };
    using Lock = std::unique_lock<std::mutex>;

    void read_ahead();
    int next_to_read() const;
    void start_reading(int block);
    void take_part(Lock &lock, std::shared_ptr<Reading> reading);
    void take_part_with_all_threads(Lock &lock);
    void wait_for(Lock &lock, int block);
    void throw_failure_of(int block);

    const std::vector<Block> blocks_;
    const int threads_;
    const bool ahead_, host_;

    // Closes the races between the thread and the job's own over all that follows: which block is where, what is being read,
    // and up to where the graph has been computed. The bytes of a place belong to who reads into it while `reading_` names
    // it, and to the computing job from `fetch` to `release`.
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<int> in_place_;
    std::shared_ptr<Reading> reading_;
    std::vector<int> order_;
    size_t at_ = 0;
    Run *run_ = nullptr;
    std::exception_ptr failure_;
    int failed_ = -1;
    bool ending_ = false;
    double waited_ = 0;

    std::thread thread_;
};

}  // namespace sdpy
