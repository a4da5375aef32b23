// A part that does not fit into memory, computed all the same: its blocks come from the file one after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "devices/device_memory.h"
#include "devices/imported_memory.h"
#include "weights/load_plan.h"
#include "weights/read_ahead.h"
#include "weights/shared_store.h"
#include "weights/stream_layout.h"
#include "weights/weight_files.h"

namespace sdpy {

// What stands outside of all blocks stays in memory, and as many of the largest blocks as there is room for. The others
// go through one or two places: each comes into its own before the nodes that read it are computed. A place has one address,
// so that a graph can be allocated before the weights are there.
class WeightStream {
   public:
    // `weights` are in the order in which they are used, as far as it is known: blocks take places in turn.
    // Throws OutOfMemory where `room` is less than the least.
    WeightStream(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights, uint64_t room,
                 int threads);
    WeightStream(const WeightStream &) = delete;
    WeightStream &operator=(const WeightStream &) = delete;

    // The least room, and the least in which there are two places.
    static uint64_t least_room(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights);
    static uint64_t ahead_room(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights);

    // The number of the block that a node reads and that goes through a place; -1 where it reads none of them.
    // Throws GenerationFailed where it reads two.
    int block_read_by(const ggml_tensor *node) const;
    // Brings blocks to their places; null where all stay.
    ReadAhead *blocks() const { return blocks_.get(); }
    uint64_t bytes() const;

   private:
    struct Block {
        std::vector<const PlannedWeight *> weights;
        uint64_t bytes = 0;
    };

    // What one block after the other lies in.
    struct Place {
        std::unique_ptr<ImportedMemory> imported;               // or
        std::unique_ptr<ggml_backend_buffer, FreedByGgml> own;  // of the device
        ggml_backend_buffer_t buffer = nullptr;

        char *in_host(char *address) const;  // as WeightBatch::in_host
    };

    static std::vector<Block> blocks_of(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights);
    static std::vector<uint64_t> sizes_of(const std::vector<Block> &blocks);
    void bring(const Block &block);
    void make_place(uint64_t bytes);
    std::vector<Piece> placed(const Block &block, const Place &where) const;

    WeightPlace place_;
    int threads_;
    WeightBatches fixed_;
    std::vector<Place> places_;
    std::vector<CountedBytes> counted_;
    uint64_t bytes_of_places_ = 0;
    std::unordered_map<const ggml_tensor *, int> block_of_tensor_;
    WeightFiles files_;
    std::unique_ptr<ReadAhead> blocks_;  // after what it reads from and into
};

}  // namespace sdpy
