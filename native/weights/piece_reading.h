// Pieces of weights on their way from files into memory, and the threads that read them.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "ggml.h"
#include "weights/stored_rows.h"

namespace sdpy {

class Run;
class WeightFile;
class WeightFiles;
struct PlannedWeight;

// Some rows of what is stored, and the tensor in memory that they belong to.
struct Piece {
    const WeightFile *file;
    const StoredRows *source;
    ggml_tensor *target;
    char *in_host;            // where the CPU finds the tensor's bytes; null: on a device that they are sent to
    int64_t first_row, rows;  // of the source

    uint64_t bytes() const;  // in the file
};

// A tensor is cut into runs of whole rows, because quantized blocks never cross a row. `in_host` as a piece has it.
void cut_into_pieces(const WeightFile &file, const StoredRows &source, ggml_tensor *target, char *in_host,
                     std::vector<Piece> &pieces);
// Of all its rows, from files that are open.
void cut_into_pieces(const WeightFiles &files, const PlannedWeight &weight, ggml_tensor *target, char *in_host,
                     std::vector<Piece> &pieces);

// Whether all of them go into the host's memory, and none is sent to a GPU.
bool fill_host(const std::vector<Piece> &pieces);

// Pieces that threads read side by side, each time the next one that nobody has, from a file's begin to its end;
// converting where tensor and file differ in type.
class PieceQueue {
   public:
    explicit PieceQueue(std::vector<Piece> pieces);

    size_t size() const { return pieces_.size(); }
    uint64_t bytes() const { return bytes_; }  // that were read
    // Reads on this thread until nothing is left to take. Throws LoadFailed, Cancelled (of `run`, which may be null),
    // std::bad_alloc; the others stop then.
    void work(const Run *run);
    // Who reads stops after the piece that it is at.
    void stop() { stopped_ = true; }
    // Whether there is nothing left to take, though some may still be read.
    bool exhausted() const { return stopped_ || next_ >= pieces_.size(); }
    bool complete() const { return read_ == pieces_.size(); }

   private:
    std::vector<Piece> pieces_;
    // Of all threads, which need no lock for it: each takes a number once.
    std::atomic<size_t> next_{0}, read_{0};
    std::atomic<uint64_t> bytes_{0};
    std::atomic<bool> stopped_{false};
};

// Reads pieces on some threads, or on one where some are sent to a GPU. Reports progress to `run`, which may be null.
// Exceptions of a thread come out here, on the job's own thread: LoadFailed, Cancelled, std::bad_alloc.
void read_pieces(std::vector<Piece> pieces, int threads, Run *run, uint64_t bytes_before, uint64_t total_bytes);

}  // namespace sdpy
