// Some tensors of a file in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "devices/device_memory.h"
#include "devices/imported_memory.h"
#include "ggml-backend.h"
#include "weights/common_memory.h"
#include "weights/load_plan.h"
#include "weights/weight_place.h"

namespace sdpy {

// The block of a model that a tensor belongs to ("...double_blocks.3"), or "" for what stands outside of all blocks.
std::string block_of(const std::string &name);

struct FreedByGgml {
    void operator()(ggml_context *context) const { ggml_free(context); }
    void operator()(ggml_backend_buffer *buffer) const { ggml_backend_buffer_free(buffer); }
};

// Some tensors of a file, in one buffer of a device, in memory that it has imported, or in memory that processes have in common.
// Shared; the last owner frees it.
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
    // Whether its bytes are there without being read: another process has read them.
    bool is_complete() const { return common_ != nullptr && common_->complete(); }
    // They have been read.
    void finish() const;
    uint64_t bytes() const;

   private:
    // Nothing where the device does not import it.
    void import_memory(const WeightPlace &place, uint64_t bytes);
    // Nothing where the process has no memory in common with others, or the device is no CPU.
    void share_memory(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights, uint64_t bytes);
    // Tensors one after the other.
    void lay_out(const WeightPlace &place);

    std::shared_ptr<const void> shelf_;
    std::unique_ptr<ggml_context, FreedByGgml> context_;
    std::unique_ptr<ImportedMemory> imported_;                      // or
    std::unique_ptr<CommonMemory::Place> common_;                   // with a view of it, or
    std::unique_ptr<ggml_backend_buffer, FreedByGgml> own_buffer_;  // of the device alone
    ggml_backend_buffer_t buffer_ = nullptr;
    std::unordered_map<std::string, ggml_tensor *> tensors_;
    CountedBytes counted_;
};
using WeightBatches = std::vector<std::shared_ptr<WeightBatch>>;

// What the CPU of this place has in common with other processes; null where there is none, or the place is no CPU's.
CommonMemory *common_of(const WeightPlace &place);

// Whether another process has the bytes of a batch of these, which is then complete.
bool others_have(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights);

}  // namespace sdpy
