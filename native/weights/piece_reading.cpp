#include "weights/piece_reading.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <tuple>

#include "base/status.h"
#include "devices/thread_check.h"
#include "ggml-backend.h"
#include "jobs/run.h"
#include "weights/file_reading.h"
#include "weights/number_formats.h"
#include "weights/weight_files.h"

// Defined by the engine's model.cpp, declared in no header of it.
void convert_tensor(void *src, ggml_type src_type, void *dst, ggml_type dst_type, int nrows, int n_per_row);

namespace sdpy {

namespace {

constexpr int64_t piece_bytes = 4 << 20;

int64_t rows_of(const TensorStorage &stored) { return stored.nelements() / stored.ne[0]; }

}  // namespace

uint64_t Piece::bytes() const {
    return static_cast<uint64_t>(source->stored.nbytes_to_read() / rows_of(source->stored) * rows);
}

void cut_into_pieces(const WeightFile &file, const StoredRows &source, ggml_tensor *target, char *in_host,
                     std::vector<Piece> &pieces) {
    const TensorStorage &stored = source.stored;
    const int64_t rows = rows_of(stored);
    const int64_t row_bytes = std::max<int64_t>(1, stored.nbytes_to_read() / rows);
    const int64_t rows_at_once = std::max<int64_t>(1, piece_bytes / row_bytes);
    for (int64_t row = 0; row < rows; row += rows_at_once) {
        pieces.push_back({&file, &source, target, in_host, row, std::min(rows_at_once, rows - row)});
    }
}

void cut_into_pieces(const WeightFiles &files, const PlannedWeight &weight, ggml_tensor *target, char *in_host,
                     std::vector<Piece> &pieces) {
    for (const StoredRows &rows : weight.rows) {
        cut_into_pieces(files.of(rows), rows, target, in_host, pieces);
    }
}

namespace {

// Reads one piece and leaves it in its tensor, in the tensor's type.
class PieceReader {
   public:
    void read(const Piece &piece) {
        const TensorStorage &stored = piece.source->stored;
        const int64_t rows = rows_of(stored);
        const int64_t elements = piece.rows * stored.ne[0];
        const uint64_t file_row = static_cast<uint64_t>(stored.nbytes_to_read() / rows);
        const int64_t first = piece.source->first_element + piece.first_row * stored.ne[0];
        const size_t target_offset = ggml_row_size(piece.target->type, first);
        const size_t target_bytes = ggml_row_size(piece.target->type, elements);
        const uint64_t offset = stored.offset + file_row * static_cast<uint64_t>(piece.first_row);

        const bool host = piece.in_host != nullptr;
        char *place = host ? piece.in_host + target_offset : nullptr;
        const bool scaled = piece.source->scales != nullptr;
        const bool as_stored = stored.type == piece.target->type && !is_widened(stored) && !scaled;
        if (as_stored && host) {
            piece.file->read(place, file_row * piece.rows, offset);
            return;
        }
        raw_.resize(file_row * piece.rows);
        piece.file->read(raw_.data(), raw_.size(), offset);
        char *values = is_widened(stored) ? widen(stored, raw_.data(), elements, decoded_) : raw_.data();
        if (scaled) {
            values = scale(*piece.source, values, piece.first_row, piece.rows, scaled_);
        }
        const ggml_type type = scaled ? GGML_TYPE_F32 : stored.type;
        if (type != piece.target->type) {
            converted_.resize(host ? 0 : target_bytes);
            char *out = host ? place : converted_.data();
            convert_tensor(values, type, out, piece.target->type, static_cast<int>(piece.rows),
                           static_cast<int>(stored.ne[0]));
            values = out;
        }
        if (!host) {
            ggml_backend_tensor_set(piece.target, values, target_offset, target_bytes);
        } else if (values != place) {
            std::memcpy(place, values, target_bytes);
        }
    }

   private:
    std::vector<char> raw_, decoded_, scaled_, converted_;
};

}  // namespace

bool fill_host(const std::vector<Piece> &pieces) {
    return std::all_of(pieces.begin(), pieces.end(), [](const Piece &piece) { return piece.in_host != nullptr; });
}

PieceQueue::PieceQueue(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {
    std::sort(pieces_.begin(), pieces_.end(), [](const Piece &a, const Piece &b) {
        return std::make_tuple(a.file, a.source->stored.offset, a.first_row) <
               std::make_tuple(b.file, b.source->stored.offset, b.first_row);
    });
}

void PieceQueue::work(const Run *run) {
    try {
        ThrowingAllowed allowed;
        PieceReader reader;
        for (size_t i = next_++; i < pieces_.size() && !stopped_; i = next_++) {
            if (run != nullptr) {
                run->check_cancelled();
            }
            reader.read(pieces_[i]);
            bytes_ += pieces_[i].bytes();
            ++read_;
        }
    } catch (...) {
        stopped_ = true;
        throw;
    }
}

namespace {

class PiecesReading {
   public:
    PiecesReading(std::vector<Piece> pieces, Run *run) : queue_(std::move(pieces)), run_(run) {}

    void read_all(int threads, uint64_t bytes_before, uint64_t total_bytes) {
        JoinedThreads pool([this] { queue_.stop(); });
        threads = static_cast<int>(std::min<size_t>(static_cast<size_t>(threads), std::max<size_t>(1, queue_.size())));
        running_ = threads;
        try {
            while (pool.size() < static_cast<size_t>(threads)) {
                pool.start([this] {
                    make_thread_variables();
                    work();
                });
            }
        } catch (const std::exception &) {  // the system gives no more threads: those that run read everything
            std::lock_guard<std::mutex> lock(mutex_);
            running_ -= threads - static_cast<int>(pool.size());
        }
        if (pool.size() == 0) {
            running_ = 1;
            work();
        }
        {
            std::unique_lock<std::mutex> lock(mutex_);
            while (running_ > 0) {
                ended_.wait_for(lock, std::chrono::milliseconds(50));
                if (run_ != nullptr) {
                    run_->bytes_read(bytes_before + queue_.bytes(), total_bytes);
                }
            }
        }
        pool.join();
        if (failure_) {
            std::rethrow_exception(failure_);
        }
    }

   private:
    void work() {
        std::exception_ptr failure;
        try {
            Run::Scope scope(run_);
            queue_.work(run_);
        } catch (...) {
            failure = std::current_exception();
        }
        std::lock_guard<std::mutex> lock(mutex_);
        if (!failure_) {
            failure_ = failure;
        }
        --running_;
        ended_.notify_all();
    }

    PieceQueue queue_;
    Run *run_;
    std::mutex
        mutex_;  // closes the race over `running_` and `failure_` between the reading threads and the waiting one
    std::condition_variable ended_;
    int running_ = 0;
    std::exception_ptr failure_;
};

}  // namespace

void read_pieces(std::vector<Piece> pieces, int threads, Run *run, uint64_t bytes_before, uint64_t total_bytes) {
    // A GPU backend's transfers are not made for several threads at once.
    threads = fill_host(pieces) ? std::max(1, threads) : 1;
    PiecesReading(std::move(pieces), run).read_all(threads, bytes_before, total_bytes);
}

}  // namespace sdpy
