// The weights of one part of a model (text encoder, denoiser, VAE): whether they are in memory, whole or block by block.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "weights/load_plan.h"
#include "weights/shared_store.h"

struct ggml_cgraph;

namespace sdpy {

class WeightStream;

class PartWeights {
   public:
    PartWeights(const WeightPlace &place, std::vector<PlannedWeight> weights);
    // Takes the memory from the engine's tensors: they must still be there.
    ~PartWeights();
    PartWeights(const PartWeights &) = delete;
    PartWeights &operator=(const PartWeights &) = delete;

    // Notes which blocks a graph reads. From then on, blocks that no graph has read are left in their file; what stands
    // outside of blocks is small, and some of it is read for some sizes of pictures only.
    void note_uses(ggml_cgraph *graph);

    // From then on all of them count as used, whatever graphs are noted.
    void use_all() { all_used_ = true; }

    ggml_backend_dev_t device() const { return place_.device(); }
    // Bytes of memory that the weights take which are used.
    uint64_t bytes() const;
    // The least room in which `stream` works.
    uint64_t least_room() const;
    // The least in which its blocks are read ahead.
    uint64_t ahead_room() const;
    // Seconds that computing has waited for blocks, since the model was opened.
    double waited() const;
    // Bytes of the files that `bring` would have to read.
    uint64_t bytes_to_read() const;
    // Bytes that are in memory now.
    uint64_t bytes_in_memory() const;

    // Makes the part ready to compute, whole: throws as share_weights does. What is there already is not read again.
    void bring(int threads, ReadingProgress &progress);
    // Makes the part ready to compute in so much room: what does not fit is read again and again, block by block, just
    // before its nodes are computed. Throws OutOfMemory.
    void stream(uint64_t room, int threads);
    // After its phase: no thread reads any more.
    void rest();
    void evict();
    bool present() const { return !batches_.empty() || stream_ != nullptr; }
    // Null where the part is there whole.
    WeightStream *streamed() const { return stream_.get(); }
    // What keeps the weights in memory, for others to share in.
    const WeightBatches &batches() const { return batches_; }

    // Throws GenerationFailed where the graph reads a weight that is not in memory.
    void check_present(ggml_cgraph *graph) const;

    // As long as it lives, tensors without memory pass for ones that have it, so that a graph can be built and measured.
    class Placeholders {
       public:
        explicit Placeholders(PartWeights &part);
        ~Placeholders();

       private:
        PartWeights &part_;
        std::vector<ggml_tensor *> filled_;
        ggml_backend_buffer_t buffer_;
    };

   private:
    std::vector<const PlannedWeight *> used() const;
    std::vector<const PlannedWeight *> used_in_order() const;
    void bind(const WeightBatches &batches);

    WeightPlace place_;
    std::vector<PlannedWeight> weights_;
    std::unordered_map<const ggml_tensor *, size_t> index_;
    bool all_used_ = false;
    // That graphs have read, with their order; empty: not known, and so all of them.
    std::unordered_map<std::string, size_t> blocks_;
    WeightBatches batches_;
    std::unique_ptr<WeightStream> stream_;
    double waited_ = 0;  // for streams that are gone
};

}  // namespace sdpy
