#include "weights/weight_batch.h"

#include "base/errors.h"
#include "devices/devices.h"
#include "ggml-alloc.h"
#include "util.h"

namespace sdpy {

namespace {

// What weights of a file are called among processes: same file, names, types and shapes, same bytes.
std::string common_key(const std::vector<const PlannedWeight *> &weights) {
    std::string key = weights.front()->identity;
    for (const PlannedWeight *weight : weights) {
        key += '\n' + weight->stored.name + ' ' + std::to_string(weight->tensor->type);
        for (const int64_t extent : weight->tensor->ne) {
            key += ' ' + std::to_string(extent);
        }
    }
    return key;
}

}  // namespace

CommonMemory *common_of(const WeightPlace &place) {
    return runs_on_cpu(place.backend) ? CommonMemory::current() : nullptr;
}

std::string block_of(const std::string &name) {
    // The number of an encoder among several is no block's.
    const size_t begin = starts_with(name, "cond_stage_model.1.") ? sizeof "cond_stage_model.1" : 0;
    for (size_t dot = name.find('.', begin); dot != std::string::npos; dot = name.find('.', dot + 1)) {
        const size_t end = name.find_first_not_of("0123456789", dot + 1);
        if (end != std::string::npos && end > dot + 1 && name[end] == '.') {
            return name.substr(0, end);
        }
    }
    // Of a VAE's encoder, which only pictures that are handed in need, nothing is small.
    const std::string encoder = "first_stage_model.encoder";
    return starts_with(name, encoder) ? encoder : "";
}

WeightBatch::WeightBatch(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights,
                         std::shared_ptr<const void> shelf)
    : shelf_(std::move(shelf)), context_(ggml_init({weights.size() * ggml_tensor_overhead(), nullptr, true})) {
    if (context_ == nullptr) {
        throw OutOfMemory("no room for the names of weights");
    }
    uint64_t bytes = 0;
    for (const PlannedWeight *weight : weights) {
        ggml_tensor *tensor = ggml_dup_tensor(context_.get(), weight->tensor);
        tensors_[weight->stored.name] = tensor;
        bytes += place.bytes_of(tensor);
    }
    import_memory(place, bytes);
    if (imported_ == nullptr) {
        share_memory(place, weights, bytes);
    }
    if (buffer_ == nullptr) {
        own_buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), place.backend));
        buffer_ = own_buffer_.get();
    }
    if (buffer_ == nullptr) {
        throw OutOfMemory("no room for " + std::to_string((bytes >> 20) + 1) + " MiB of weights on " +
                          ggml_backend_name(place.backend));
    }
    ggml_backend_buffer_set_usage(buffer_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    counted_ = CountedBytes(place.device(), ggml_backend_buffer_get_size(buffer_));
}

void WeightBatch::import_memory(const WeightPlace &place, uint64_t bytes) {
    imported_ = place.imported ? ImportedMemory::make(place.device(), bytes) : nullptr;
    if (imported_ == nullptr) {
        return;
    }
    buffer_ = imported_->of_device();
    lay_out(place);
}

void WeightBatch::share_memory(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights,
                               uint64_t bytes) {
    CommonMemory *common = common_of(place);
    common_ = common == nullptr ? nullptr : common->take(common_key(weights), bytes);
    if (common_ != nullptr) {
        own_buffer_.reset(ggml_backend_cpu_buffer_from_ptr(common_->begin(), bytes));
        buffer_ = own_buffer_.get();
        lay_out(place);
    }
}

void WeightBatch::finish() const {
    if (common_ != nullptr) {
        common_->finish();
    }
}

void WeightBatch::lay_out(const WeightPlace &place) {
    char *address = static_cast<char *>(ggml_backend_buffer_get_base(buffer_));
    for (ggml_tensor *tensor = ggml_get_first_tensor(context_.get()); tensor != nullptr;
         tensor = ggml_get_next_tensor(context_.get(), tensor)) {
        ggml_backend_tensor_alloc(buffer_, tensor, address);
        address += place.bytes_of(tensor);
    }
}

char *WeightBatch::in_host(const ggml_tensor *own) const {
    if (imported_ != nullptr) {
        return imported_->for_cpu(own->data);
    }
    return ggml_backend_buffer_is_host(buffer_) ? static_cast<char *>(own->data) : nullptr;
}

ggml_tensor *WeightBatch::find(const PlannedWeight &weight) const {
    const auto found = tensors_.find(weight.stored.name);
    const bool same = found != tensors_.end() && found->second->type == weight.tensor->type &&
                      ggml_are_same_shape(found->second, weight.tensor);
    return same ? found->second : nullptr;
}

bool WeightBatch::lend(const PlannedWeight &weight, ggml_backend_t backend) const {
    const ggml_tensor *own = find(weight);
    if (own == nullptr) {
        return false;
    }
    const bool as_the_cpus = is_imported() && runs_on_cpu(backend);
    weight.tensor->buffer = as_the_cpus ? imported_->of_cpu() : own->buffer;
    weight.tensor->data = as_the_cpus ? in_host(own) : own->data;
    weight.tensor->extra = own->extra;
    return true;
}

uint64_t WeightBatch::bytes() const { return ggml_backend_buffer_get_size(buffer_); }

bool others_have(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights) {
    CommonMemory *common = common_of(place);
    return common != nullptr && common->has(common_key(weights));
}

}  // namespace sdpy
