// The functions of base/sdpy.h that lay out and read the blocks of a streamed part, without a model.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/errors.h"
#include "base/sdpy_parts.h"
#include "base/status.h"
#include "devices/imported_memory.h"
#include "ggml.h"
#include "jobs/fault_injection.h"
#include "jobs/run.h"
#include "overrides/node_faults.h"
#include "weights/file_reading.h"
#include "weights/read_ahead.h"
#include "weights/reading_conditions.h"
#include "weights/shared_store.h"
#include "weights/stream_layout.h"

namespace {

// As large as the tensors of a block are, so that threads have something to share.
constexpr uint64_t tensor_bytes = 512;

// Blocks of bytes that lie in a file one after the other.
class ByteBlocks {
   public:
    ByteBlocks(const char *path, const uint64_t *bytes, const int *places, int count) : file_(path) {
        places_.resize(static_cast<size_t>(*std::max_element(places, places + count)) + 1);
        size_t tensors = 0;
        for (int i = 0; i < count; ++i) {
            auto &place = places_[static_cast<size_t>(places[i])];
            place.resize(std::max<size_t>(place.size(), bytes[i]));
            tensors += bytes[i] / tensor_bytes + 1;
        }
        context_.reset(ggml_init({tensors * ggml_tensor_overhead(), nullptr, true}));
        stored_.reserve(tensors);  // pieces point at them
        uint64_t offset = 0;
        for (int i = 0; i < count; ++i) {
            blocks_.push_back({places[i], {}});
            bytes_.push_back(bytes[i]);
            for (uint64_t done = 0; done < bytes[i]; done += tensor_bytes) {
                add_tensor(blocks_.back(), std::min(tensor_bytes, bytes[i] - done), offset + done, done);
            }
            offset += bytes[i];
        }
    }

    const std::vector<sdpy::ReadAhead::Block> &blocks() const { return blocks_; }
    uint8_t *copy(int block, uint8_t *out) const {
        const auto number = static_cast<size_t>(block);
        return std::copy_n(places_[static_cast<size_t>(blocks_[number].place)].data(), bytes_[number], out);
    }

   private:
    void add_tensor(sdpy::ReadAhead::Block &block, uint64_t bytes, uint64_t offset, uint64_t offset_in_place) {
        const auto size = static_cast<int64_t>(bytes);
        stored_.emplace_back();
        stored_.back().stored.type = GGML_TYPE_I8;
        stored_.back().stored.n_dims = 1;
        stored_.back().stored.ne[0] = size;
        stored_.back().stored.offset = offset;
        ggml_tensor *tensor = ggml_new_tensor_1d(context_.get(), GGML_TYPE_I8, size);
        tensor->data = places_[static_cast<size_t>(block.place)].data() + offset_in_place;
        sdpy::cut_into_pieces(file_, stored_.back(), tensor, static_cast<char *>(tensor->data), block.pieces);
    }

    sdpy::WeightFile file_;
    std::unique_ptr<ggml_context, sdpy::FreedByGgml> context_;
    std::vector<std::vector<uint8_t>> places_;
    std::vector<sdpy::StoredRows> stored_;
    std::vector<sdpy::ReadAhead::Block> blocks_;
    std::vector<uint64_t> bytes_;
};

}  // namespace

extern "C" {

int sdpy_lay_out(uint64_t outside, const uint64_t *blocks, int count, uint64_t room, int *places, uint64_t *bytes,
                 sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        const sdpy::StreamLayout layout = sdpy::lay_out(outside, {blocks, blocks + count}, room, true);
        std::copy(layout.place_of.begin(), layout.place_of.end(), places);
        std::copy(layout.bytes.begin(), layout.bytes.end(), bytes);
    });
}

void sdpy_least_rooms(uint64_t outside, const uint64_t *blocks, int count, uint64_t *least_room, uint64_t *ahead_room) {
    *least_room = sdpy::least_room(outside, {blocks, blocks + count});
    *ahead_room = sdpy::ahead_room(outside, {blocks, blocks + count});
}

void sdpy_refuse_imports(int refused) { sdpy::refuse_imports(refused != 0); }

void sdpy_end_deafness(void) { sdpy::end_deafness(); }

void sdpy_arrange_reading(const sdpy_reading_conditions *conditions) { sdpy::arrange_reading(*conditions); }

uint64_t sdpy_reads_made(void) { return sdpy::reads_made(); }

void sdpy_arrange_node_fault(int fault, uint64_t at) {
    sdpy::arrange_node_fault(static_cast<sdpy_node_fault>(fault), at);
}

uint64_t sdpy_nodes_computed(void) { return sdpy::nodes_computed(); }

int sdpy_stream_blocks(const char *path, const uint64_t *blocks, const int *places, int count, const int *order,
                       const int *ends, int graphs, int threads, int patient, uint8_t *out, int *came_ahead,
                       sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        sdpy::Run run([](const sdpy_event &) {});
        const ByteBlocks bytes(path, blocks, places, count);
        sdpy::ReadAhead stream(bytes.blocks(), threads, sdpy::reads_ahead());
        *came_ahead = 0;
        for (int graph = 0; graph < graphs; ++graph) {
            const int begin = graph == 0 ? 0 : ends[graph - 1];
            stream.begin({order + begin, order + ends[graph]}, &run);
            for (int turn = begin; turn < ends[graph]; ++turn) {
                const double waited = stream.waited();
                stream.fetch(static_cast<size_t>(turn - begin));
                *came_ahead += stream.waited() == waited ? 1 : 0;
                while (patient != 0 && !stream.caught_up()) {
                    std::this_thread::sleep_for(std::chrono::microseconds(100));
                }
                out = bytes.copy(order[turn], out);
                stream.release(static_cast<size_t>(turn - begin));
            }
        }
        stream.rest();
    });
}

}  // extern "C"
