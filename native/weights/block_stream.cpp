#include "weights/block_stream.h"

#include <algorithm>

#include "base/errors.h"
#include "ggml-backend.h"
#include "jobs/run.h"
#include "weights/reading_conditions.h"

namespace sdpy {

namespace {

// Tables of embeddings stand outside of all blocks and are large; they move like a block.
constexpr uint64_t large_alone = 16u << 20;

}  // namespace

std::vector<WeightStream::Block> WeightStream::blocks_of(const WeightPlace &place,
                                                         const std::vector<const PlannedWeight *> &weights) {
    std::vector<Block> blocks(1);  // the first one holds what is small and outside of all blocks
    std::map<std::string, size_t> numbers;
    for (const PlannedWeight *weight : weights) {
        const uint64_t bytes = place.bytes_of(weight->tensor);
        std::string name = block_of(weight->stored.name);
        if (name.empty() && bytes >= large_alone) {
            name = weight->stored.name;
        }
        const size_t number = name.empty() ? 0 : numbers.emplace(name, blocks.size()).first->second;
        if (number == blocks.size()) {
            blocks.emplace_back();
        }
        blocks[number].weights.push_back(weight);
        blocks[number].bytes += bytes;
    }
    for (Block &block : blocks) {
        block.bytes = place.taken_for(block.bytes);
    }
    return blocks;
}

std::vector<uint64_t> WeightStream::sizes_of(const std::vector<Block> &blocks) {
    std::vector<uint64_t> sizes(blocks.size() - 1);
    std::transform(blocks.begin() + 1, blocks.end(), sizes.begin(), [](const Block &block) { return block.bytes; });
    return sizes;
}

uint64_t WeightStream::least_room(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights) {
    const std::vector<Block> blocks = blocks_of(place, weights);
    return sdpy::least_room(blocks.front().bytes, sizes_of(blocks));
}

uint64_t WeightStream::ahead_room(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights) {
    const std::vector<Block> blocks = blocks_of(place, weights);
    return sdpy::ahead_room(blocks.front().bytes, sizes_of(blocks));
}

WeightStream::WeightStream(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights, uint64_t room,
                           int threads)
    : place_(place), threads_(threads) {
    const std::vector<Block> blocks = blocks_of(place, weights);
    const StreamLayout layout = lay_out(blocks.front().bytes, sizes_of(blocks), room, reads_ahead());
    for (const PlannedWeight *weight : weights) {
        files_.open(*weight);
    }
    bring(blocks.front());
    for (const uint64_t bytes : layout.bytes) {
        make_place(bytes);
    }
    std::vector<ReadAhead::Block> moving;
    for (size_t number = 1; number < blocks.size(); ++number) {
        const Block &block = blocks[number];
        const int turn = layout.place_of[number - 1];
        if (turn < 0) {
            bring(block);
            continue;
        }
        for (const PlannedWeight *weight : block.weights) {
            block_of_tensor_[weight->tensor] = static_cast<int>(moving.size());
        }
        moving.push_back({turn, placed(block, places_[static_cast<size_t>(turn)])});
    }
    if (!moving.empty()) {
        blocks_ = std::make_unique<ReadAhead>(std::move(moving), threads_, reads_ahead());
    }
}

// Of a block that stays.
void WeightStream::bring(const Block &block) {
    if (block.weights.empty()) {
        return;
    }
    if (const Run *run = Run::current()) {
        run->check_cancelled();
    }
    fixed_.push_back(std::make_shared<WeightBatch>(place_, block.weights, nullptr));
    const WeightBatch &batch = *fixed_.back();
    std::vector<Piece> pieces;
    for (const PlannedWeight *weight : block.weights) {
        batch.lend(*weight, place_.backend);
        cut_into_pieces(files_, *weight, weight->tensor, batch.in_host(batch.find(*weight)), pieces);
    }
    read_pieces(std::move(pieces), threads_, nullptr, 0, 0);
}

// Gives the weights of a block that moves their addresses in its place, and returns what is to be read there.
std::vector<Piece> WeightStream::placed(const Block &block, const Place &where) const {
    std::vector<Piece> pieces;
    char *address = static_cast<char *>(ggml_backend_buffer_get_base(where.buffer));
    for (const PlannedWeight *weight : block.weights) {
        ggml_backend_tensor_alloc(where.buffer, weight->tensor, address);
        cut_into_pieces(files_, *weight, weight->tensor, where.in_host(address), pieces);
        address += place_.bytes_of(weight->tensor);
    }
    return pieces;
}

char *WeightStream::Place::in_host(char *address) const {
    if (imported != nullptr) {
        return imported->for_cpu(address);
    }
    return ggml_backend_buffer_is_host(buffer) ? address : nullptr;
}

void WeightStream::make_place(uint64_t bytes) {
    if (bytes == 0) {
        return;
    }
    Place made;
    made.imported = place_.imported ? ImportedMemory::make(place_.device(), bytes) : nullptr;
    if (made.imported == nullptr) {
        made.own.reset(ggml_backend_buft_alloc_buffer(place_.buffer_type(), bytes));
    }
    made.buffer = made.imported != nullptr ? made.imported->of_device() : made.own.get();
    if (made.buffer == nullptr) {
        throw OutOfMemory("no room for " + std::to_string((bytes >> 20) + 1) + " MiB of weights on " +
                          ggml_backend_name(place_.backend));
    }
    ggml_backend_buffer_set_usage(made.buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    places_.push_back(std::move(made));
    counted_.emplace_back(place_.device(), bytes);
    bytes_of_places_ += bytes;
}

int WeightStream::block_read_by(const ggml_tensor *node) const {
    int block = -1;
    for (const ggml_tensor *source : node->src) {
        if (source == nullptr) {
            continue;
        }
        const auto found = block_of_tensor_.find(source->view_src != nullptr ? source->view_src : source);
        if (found == block_of_tensor_.end() || found->second == block) {
            continue;
        }
        if (block >= 0) {
            throw GenerationFailed("one operation reads weights of two blocks, so they cannot be streamed");
        }
        block = found->second;
    }
    return block;
}

uint64_t WeightStream::bytes() const {
    uint64_t bytes = bytes_of_places_;
    for (const auto &batch : fixed_) {
        bytes += batch->bytes();
    }
    return bytes;
}

}  // namespace sdpy
