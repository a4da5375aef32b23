// Weights in memory, once per process: who wants the same tensors of the same file on the same device gets the same bytes,
// and so does a CPU where a GPU has them in the process's memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "devices/device_memory.h"
#include "devices/imported_memory.h"
#include "ggml-backend.h"
#include "weights/load_plan.h"
#include "weights/weight_place.h"

namespace sdpy {

class Run;

// The block of a model that a tensor belongs to ("...double_blocks.3"), or "" for what stands outside of all blocks.
std::string block_of(const std::string &name);

struct FreedByGgml {
    void operator()(ggml_context *context) const { ggml_free(context); }
    void operator()(ggml_backend_buffer *buffer) const { ggml_backend_buffer_free(buffer); }
};

// Some tensors of a file, in one buffer of a device or in memory that it has imported. Shared; the last owner frees it.
class WeightBatch {
   public:
    // `shelf` is kept for as long as it lives. Throws OutOfMemory.
    WeightBatch(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights,
                std::shared_ptr<const void> shelf);
    WeightBatch(const WeightBatch &) = delete;
    WeightBatch &operator=(const WeightBatch &) = delete;

    // The tensor of this name, type and shape, or null.
    ggml_tensor *find(const PlannedWeight &weight) const;
    // Gives the engine's tensor, which the backend computes with, the memory of that one; whether there is one.
    bool lend(const PlannedWeight &weight, ggml_backend_t backend) const;
    // Where the CPU finds the bytes of a tensor of this batch; null where a device has them for itself.
    char *in_host(const ggml_tensor *own) const;
    bool is_imported() const { return imported_ != nullptr; }
    uint64_t bytes() const;

   private:
    // Tensors one after the other in memory that the device imports; nothing where it does not.
    void import_memory(const WeightPlace &place, uint64_t bytes);

    std::shared_ptr<const void> shelf_;
    std::unique_ptr<ggml_context, FreedByGgml> context_;
    std::unique_ptr<ImportedMemory> imported_;                      // or
    std::unique_ptr<ggml_backend_buffer, FreedByGgml> own_buffer_;  // of the device
    ggml_backend_buffer_t buffer_ = nullptr;
    std::unordered_map<std::string, ggml_tensor *> tensors_;
    CountedBytes counted_;
};
using WeightBatches = std::vector<std::shared_ptr<WeightBatch>>;

// Where a job of reading stands, for progress: several files may be read one after the other.
struct ReadingProgress {
    Run *run;
    uint64_t before, total;
};

// Brings weights of one file to their place, unless they are there already, and returns what keeps them there.
// One reader at a time for each file and device: who comes second waits, and then finds what the first one read.
// `progress` goes on by what was read. Throws LoadFailed (the file is no longer the one that was planned with, too), OutOfMemory, Cancelled.
WeightBatches share_weights(const std::string &file, const WeightPlace &place,
                            const std::vector<const PlannedWeight *> &weights, int threads, ReadingProgress &progress);

// Bytes of the file that `share_weights` would have to read.
uint64_t bytes_to_read(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights);

// Weights on a lost device are nobody's to find any more.
void forget_weights_on(const std::string &device);

// Files, each on one device, of which something is in memory or being looked for.
size_t shelf_count();

}  // namespace sdpy
