// A part that does not fit into memory, computed all the same: its blocks come from the file one after the other.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "devices/device_memory.h"
#include "weights/file_reading.h"
#include "weights/load_plan.h"
#include "weights/shared_store.h"

namespace sdpy {

// What stands outside of all blocks stays in memory, and as many of the largest blocks as there is room for. The others
// share one place: each comes into it just before the nodes that read it are computed. The place has one address, so that
// a graph can be allocated before the weights are there.
class WeightStream {
   public:
    // Throws OutOfMemory where `room` is less than the least.
    WeightStream(ggml_backend_t backend, const std::vector<const PlannedWeight *> &weights, uint64_t room, int threads);
    WeightStream(const WeightStream &) = delete;
    WeightStream &operator=(const WeightStream &) = delete;

    static uint64_t least_room(ggml_backend_t backend, const std::vector<const PlannedWeight *> &weights);

    // The number of the block that a node reads and that shares the place; -1 where it reads none of them.
    // Throws GenerationFailed where it reads two.
    int block_read_by(const ggml_tensor *node) const;
    // Makes sure that the block is in the place. Nothing that reads the place may be computing.
    void fetch(int block);
    uint64_t bytes() const;

   private:
    struct Block {
        std::vector<const PlannedWeight *> weights;
        uint64_t bytes = 0;
    };
    struct Layout {
        std::vector<Block> fixed, moving;
        uint64_t place = 0;  // bytes of the largest of `moving`
    };

    static std::vector<Block> blocks_of(ggml_backend_t backend, const std::vector<const PlannedWeight *> &weights);
    static Layout lay_out(std::vector<Block> blocks, uint64_t room);
    void bind_fixed();
    void bind_moving();
    void read(const std::vector<const PlannedWeight *> &weights);

    ggml_backend_t backend_;
    int threads_;
    Layout layout_;
    WeightBatches fixed_;
    std::unique_ptr<ggml_backend_buffer, FreedByGgml> place_;
    CountedBytes counted_;
    std::unordered_map<const ggml_tensor *, int> block_of_tensor_;
    std::map<std::string, std::unique_ptr<WeightFile>> files_;
    int in_place_ = -1;
};

}  // namespace sdpy
