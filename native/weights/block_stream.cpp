#include "weights/block_stream.h"

#include <algorithm>

#include "base/errors.h"
#include "ggml-backend.h"
#include "jobs/run.h"

namespace sdpy {

namespace {

// Tables of embeddings stand outside of all blocks and are large; they move like a block.
constexpr uint64_t large_alone = 16u << 20;

}  // namespace

std::vector<WeightStream::Block> WeightStream::blocks_of(ggml_backend_t backend,
                                                         const std::vector<const PlannedWeight *> &weights) {
    std::vector<Block> blocks(1);  // the first one holds what is small and outside of all blocks
    std::map<std::string, size_t> places;
    for (const PlannedWeight *weight : weights) {
        const uint64_t bytes = bytes_in(ggml_backend_get_default_buffer_type(backend), weight->tensor);
        std::string name = block_of(weight->stored.name);
        if (name.empty() && bytes >= large_alone) {
            name = weight->stored.name;
        }
        const size_t place = name.empty() ? 0 : places.emplace(name, blocks.size()).first->second;
        if (place == blocks.size()) {
            blocks.emplace_back();
        }
        blocks[place].weights.push_back(weight);
        blocks[place].bytes += bytes;
    }
    return blocks;
}

// The largest blocks stay, because then the place for the others is small as well.
WeightStream::Layout WeightStream::lay_out(std::vector<Block> blocks, uint64_t room) {
    Layout layout;
    uint64_t fixed = blocks.front().bytes;
    layout.fixed.push_back(std::move(blocks.front()));
    blocks.erase(blocks.begin());
    std::stable_sort(blocks.begin(), blocks.end(), [](const Block &a, const Block &b) { return a.bytes > b.bytes; });
    size_t stay = 0;
    while (stay < blocks.size() &&
           fixed + blocks[stay].bytes + (stay + 1 < blocks.size() ? blocks[stay + 1].bytes : 0) <= room) {
        fixed += blocks[stay++].bytes;
    }
    layout.place = stay < blocks.size() ? blocks[stay].bytes : 0;
    layout.fixed.insert(layout.fixed.end(), blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(stay));
    layout.moving.assign(blocks.begin() + static_cast<std::ptrdiff_t>(stay), blocks.end());
    if (fixed + layout.place > room) {
        throw OutOfMemory("there is room for " + std::to_string(room >> 20) + " MiB of weights, and " +
                          std::to_string(((fixed + layout.place) >> 20) + 1) + " MiB are needed at once");
    }
    return layout;
}

uint64_t WeightStream::least_room(ggml_backend_t backend, const std::vector<const PlannedWeight *> &weights) {
    const std::vector<Block> blocks = blocks_of(backend, weights);
    uint64_t largest = 0;
    for (size_t i = 1; i < blocks.size(); ++i) {
        largest = std::max(largest, blocks[i].bytes);
    }
    return blocks.front().bytes + largest;
}

WeightStream::WeightStream(ggml_backend_t backend, const std::vector<const PlannedWeight *> &weights, uint64_t room,
                           int threads)
    : backend_(backend), threads_(threads), layout_(lay_out(blocks_of(backend, weights), room)) {
    for (const PlannedWeight *weight : weights) {
        std::unique_ptr<WeightFile> &file = files_[weight->file];
        if (file == nullptr) {
            file = std::make_unique<WeightFile>(weight->file);
            file->check_identity(weight->identity);
        }
    }
    bind_fixed();
    bind_moving();
}

void WeightStream::bind_fixed() {
    for (const Block &block : layout_.fixed) {
        if (block.weights.empty()) {
            continue;
        }
        fixed_.push_back(std::make_shared<WeightBatch>(backend_, block.weights, nullptr));
        for (const PlannedWeight *weight : block.weights) {
            fixed_.back()->lend(*weight);
        }
        read(block.weights);
    }
}

void WeightStream::bind_moving() {
    if (layout_.moving.empty()) {
        return;
    }
    ggml_backend_buffer_type_t type = ggml_backend_get_default_buffer_type(backend_);
    place_.reset(ggml_backend_buft_alloc_buffer(type, layout_.place));
    if (place_ == nullptr) {
        throw OutOfMemory("no room for " + std::to_string((layout_.place >> 20) + 1) + " MiB of weights on " +
                          ggml_backend_name(backend_));
    }
    ggml_backend_buffer_set_usage(place_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    counted_ = CountedBytes(ggml_backend_get_device(backend_), layout_.place);
    for (size_t number = 0; number < layout_.moving.size(); ++number) {
        char *address = static_cast<char *>(ggml_backend_buffer_get_base(place_.get()));
        for (const PlannedWeight *weight : layout_.moving[number].weights) {
            ggml_backend_tensor_alloc(place_.get(), weight->tensor, address);
            address += bytes_in(type, weight->tensor);
            block_of_tensor_[weight->tensor] = static_cast<int>(number);
        }
    }
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

void WeightStream::fetch(int block) {
    if (block == in_place_) {
        return;
    }
    in_place_ = -1;
    read(layout_.moving[static_cast<size_t>(block)].weights);
    in_place_ = block;
}

void WeightStream::read(const std::vector<const PlannedWeight *> &weights) {
    if (const Run *run = Run::current()) {
        run->check_cancelled();
    }
    std::map<std::string, std::vector<Piece>> pieces;
    for (const PlannedWeight *weight : weights) {
        cut_into_pieces(weight->stored, weight->tensor, pieces[weight->file]);
    }
    for (auto &[file, some] : pieces) {
        read_pieces(*files_.at(file), some, threads_, nullptr, 0, 0);
    }
}

uint64_t WeightStream::bytes() const {
    uint64_t bytes = layout_.place;
    for (const auto &batch : fixed_) {
        bytes += batch->bytes();
    }
    return bytes;
}

}  // namespace sdpy
