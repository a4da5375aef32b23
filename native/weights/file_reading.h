// Reading the bytes of weights: files, pieces of tensors, and the threads that read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ggml.h"
#include "model_io/tensor_storage.h"

namespace sdpy {

class Run;

// An open file, read at any place from several threads.
class WeightFile {
   public:
    explicit WeightFile(const std::string &path);  // throws LoadFailed
    ~WeightFile();
    WeightFile(const WeightFile &) = delete;
    WeightFile &operator=(const WeightFile &) = delete;

    uint64_t size() const { return size_; }
    const std::string &path() const { return path_; }
    // What tells this file from one that takes its place under its name, and from itself after it was written to.
    const std::string &identity() const { return identity_; }
    void check_identity(const std::string &wanted) const;                 // throws LoadFailed
    void read(void *destination, uint64_t bytes, uint64_t offset) const;  // throws LoadFailed

   private:
    std::string path_, identity_;
    int descriptor_;
    uint64_t size_ = 0;
};

// Some rows of a stored tensor, and the tensor in memory that they belong to.
struct Piece {
    const TensorStorage *stored;
    ggml_tensor *target;
    int64_t first_row, rows;

    uint64_t bytes() const;  // in the file
};

// A tensor is cut into runs of whole rows, because quantized blocks never cross a row.
void cut_into_pieces(const TensorStorage &stored, ggml_tensor *target, std::vector<Piece> &pieces);

// Reads all pieces of one file on some threads, or on one where a GPU's memory is filled, from the file's begin to its end, converting where tensor and file differ in type. Reports progress to `run`,
// which may be null. Exceptions of a thread come out here, on the job's own thread: LoadFailed, Cancelled, std::bad_alloc.
void read_pieces(const WeightFile &file, std::vector<Piece> &pieces, int threads, Run *run, uint64_t bytes_before,
                 uint64_t total_bytes);

}  // namespace sdpy
