#include "weights/part_weights.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>

#include "base/errors.h"
#include "devices/devices.h"
#include "ggml-backend.h"
#include "kernels/levels.h"
#include "util.h"
#include "weights/block_stream.h"
#include "weights/number_formats.h"

namespace sdpy {

namespace {

// Weights by the file that they are in, or by the files where each is in several.
std::map<std::string, std::vector<const PlannedWeight *>> by_file(const std::vector<const PlannedWeight *> &weights) {
    std::map<std::string, std::vector<const PlannedWeight *>> files;
    for (const PlannedWeight *weight : weights) {
        files[weight->identity].push_back(weight);
    }
    return files;
}

bool is_table_of_words(const std::string &name) {
    return ends_with(name, ".embed_tokens.weight") || ends_with(name, ".shared.weight");
}

// The engine has a table in float32 where some device that it knows looks no rows up in the file's type. A CPU looks them up
// in every type, so there it stays as it is in the file: smaller, sooner read, and no number is rounded.
void keep_table_as_stored(const PlannedWeight &weight) {
    const TensorStorage &stored = weight.stored;
    ggml_tensor *tensor = weight.tensor;
    const bool scaled = std::any_of(weight.rows.begin(), weight.rows.end(),
                                    [](const StoredRows &rows) { return rows.scales != nullptr; });
    if (!is_table_of_words(stored.name) || scaled || is_widened(stored) ||
        tensor->ne[0] % ggml_blck_size(stored.type) != 0) {
        return;
    }
    tensor->type = stored.type;
    tensor->nb[0] = ggml_type_size(stored.type);
    tensor->nb[1] = ggml_row_size(stored.type, tensor->ne[0]);
    for (int axis = 2; axis < GGML_MAX_DIMS; ++axis) {
        tensor->nb[axis] = tensor->nb[axis - 1] * tensor->ne[axis - 1];
    }
}

// Calls `visit` with every tensor that a node of the graph reads, behind all views.
template <typename Visit>
void each_source(ggml_cgraph *graph, Visit &&visit) {
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        const ggml_tensor *node = ggml_graph_node(graph, i);
        for (const ggml_tensor *source : node->src) {
            if (source != nullptr) {
                visit(source->view_src != nullptr ? source->view_src : source);
            }
        }
    }
}

}  // namespace

PartWeights::PartWeights(const WeightPlace &place, std::vector<PlannedWeight> weights)
    : place_(place), weights_(std::move(weights)) {
    for (size_t i = 0; i < weights_.size(); ++i) {
        index_[weights_[i].tensor] = i;
        if (runs_on_cpu(place.backend) && !switched_off()) {
            keep_table_as_stored(weights_[i]);
        }
    }
}

PartWeights::~PartWeights() { evict(); }

void PartWeights::note_uses(ggml_cgraph *graph) {
    each_source(graph, [&](const ggml_tensor *tensor) {
        const auto found = index_.find(tensor);
        if (found != index_.end()) {
            blocks_.emplace(block_of(weights_[found->second].stored.name), blocks_.size());
        }
    });
}

std::vector<const PlannedWeight *> PartWeights::used() const {
    std::vector<const PlannedWeight *> used;
    for (const PlannedWeight &weight : weights_) {
        const std::string block = block_of(weight.stored.name);
        if (all_used_ || blocks_.empty() || block.empty() || blocks_.count(block) != 0) {
            used.push_back(&weight);
        }
    }
    return used;
}

// By blocks, the one that graphs read first before the others; those that none has read are the last.
std::vector<const PlannedWeight *> PartWeights::used_in_order() const {
    std::vector<std::pair<size_t, const PlannedWeight *>> ranked;
    for (const PlannedWeight *weight : used()) {
        const auto found = blocks_.find(block_of(weight->stored.name));
        ranked.emplace_back(found == blocks_.end() ? blocks_.size() : found->second, weight);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
    std::vector<const PlannedWeight *> ordered(ranked.size());
    std::transform(ranked.begin(), ranked.end(), ordered.begin(), [](const auto &one) { return one.second; });
    return ordered;
}

uint64_t PartWeights::bytes() const {
    std::map<std::pair<std::string, std::string>, uint64_t> batches;  // as share_weights makes them
    for (const PlannedWeight *weight : used()) {
        batches[{weight->identity, block_of(weight->stored.name)}] += place_.bytes_of(weight->tensor);
    }
    return std::accumulate(batches.begin(), batches.end(), uint64_t{0},
                           [&](uint64_t sum, const auto &batch) { return sum + place_.taken_for(batch.second); });
}

uint64_t PartWeights::least_room() const { return WeightStream::least_room(place_, used_in_order()); }

uint64_t PartWeights::ahead_room() const { return WeightStream::ahead_room(place_, used_in_order()); }

double PartWeights::waited() const {
    return waited_ + (stream_ == nullptr || stream_->blocks() == nullptr ? 0 : stream_->blocks()->waited());
}

void PartWeights::rest() {
    if (stream_ != nullptr && stream_->blocks() != nullptr) {
        stream_->blocks()->rest();
    }
}

uint64_t PartWeights::bytes_to_read() const {
    uint64_t bytes = 0;
    for (const auto &[identity, weights] : by_file(used())) {
        bytes += sdpy::bytes_to_read(place_, weights);
    }
    return bytes;
}

uint64_t PartWeights::bytes_in_memory() const {
    uint64_t bytes = stream_ ? stream_->bytes() : 0;
    for (const auto &batch : batches_) {
        bytes += batch->bytes();
    }
    return bytes;
}

void PartWeights::bring(int threads, ReadingProgress &progress) {
    if (stream_ != nullptr) {
        evict();  // before reading, which may fail: the tensors must not point at what is gone
    }
    WeightBatches batches;
    for (const auto &[identity, weights] : by_file(used())) {
        const WeightBatches some = share_weights(place_, weights, threads, progress);
        batches.insert(batches.end(), some.begin(), some.end());
    }
    evict();  // what had fewer blocks
    bind(batches);
    batches_ = std::move(batches);
}

void PartWeights::bind(const WeightBatches &batches) {
    for (const PlannedWeight *weight : used()) {
        static_cast<void>(std::any_of(batches.begin(), batches.end(),
                                      [&](const auto &batch) { return batch->lend(*weight, place_.backend); }));
    }
}

void PartWeights::stream(uint64_t room, int threads) {
    evict();
    try {
        stream_ = std::make_unique<WeightStream>(place_, used_in_order(), room, threads);
    } catch (...) {
        evict();  // what it had bound
        throw;
    }
}

void PartWeights::evict() {
    waited_ = waited();
    stream_.reset();
    batches_.clear();
    for (const PlannedWeight &weight : weights_) {
        weight.tensor->buffer = nullptr;
        weight.tensor->data = nullptr;
        weight.tensor->extra = nullptr;
    }
}

void PartWeights::check_present(ggml_cgraph *graph) const {
    each_source(graph, [&](const ggml_tensor *tensor) {
        const auto found = index_.find(tensor);
        if (found != index_.end() && tensor->data == nullptr) {
            throw GenerationFailed("the weights '" + weights_[found->second].stored.name + "' are not in memory");
        }
    });
}

PartWeights::Placeholders::Placeholders(PartWeights &part) : part_(part) {
    filled_.reserve(part.weights_.size());
    // Of no size, but it says what kind of memory it is. The address is never looked at: nothing is computed.
    buffer_ = ggml_backend_buft_alloc_buffer(part.place_.buffer_type(), 0);
    for (const PlannedWeight &weight : part_.weights_) {
        if (weight.tensor->data == nullptr) {
            weight.tensor->buffer = buffer_;
            weight.tensor->data = &buffer_;
            filled_.push_back(weight.tensor);
        }
    }
}

PartWeights::Placeholders::~Placeholders() {
    for (ggml_tensor *tensor : filled_) {
        tensor->buffer = nullptr;
        tensor->data = nullptr;
    }
    ggml_backend_buffer_free(buffer_);
}

}  // namespace sdpy
