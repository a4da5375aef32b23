// LoRAs beside the weights: what they add to a layer is computed from its input, and the weights stay as they are. For
// pipeline.cpp, after overrides/engine.h.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "devices/device_memory.h"
#include "kernels/graph.h"
#include "pipeline/pipeline.h"
#include "weights/weight_batch.h"

namespace sdpy {

// A layer of the model, as LoRAs are to be laid beside it: the name of its weight without ".weight".
struct ModelLayer {
    sdpy_part part;
    const ggml_tensor *weight;
};
using ModelLayers = std::map<std::string, ModelLayer>;

inline ModelLayers layers_of(const EachPart<std::map<std::string, ggml_tensor *>> &tensors) {
    const std::string end = ".weight";
    ModelLayers layers;
    for (int part = 0; part < SDPY_PART_COUNT; ++part) {
        for (const auto &[name, tensor] : tensors[part]) {
            if (ends_with(name, end) && ggml_n_dims(tensor) >= 2) {
                layers[name.substr(0, name.size() - end.size())] = {static_cast<sdpy_part>(part), tensor};
            }
        }
    }
    return layers;
}

// Finds the layer that a LoRA's file means. Training programs write names with dots or underscores, with a prefix of their
// own or without one, after the model's own format or after diffusers'.
class LayerNames {
   public:
    LayerNames(const ModelLayers &layers, SDVersion version) : layers_(layers), version_(version) {
        for (const auto &[name, layer] : layers) {
            flat_[flattened(name)] = name;
        }
    }

    // The layer's name and which of the parts of its weight is meant (0, or of query, key, value and so on the one with this
    // number); an empty name where none is.
    std::pair<std::string, int> find(const std::string &key) const {
        const std::pair<std::string, int> known = by_engine(key);
        return layers_.count(known.first) != 0 ? known : std::make_pair(by_end(key), 0);
    }

   private:
    static std::string flattened(std::string name) {
        std::replace(name.begin(), name.end(), '.', '_');
        return name;
    }

    // As the engine's converter of names has it.
    std::pair<std::string, int> by_engine(const std::string &key) const {
        const std::string before = "lora.", after = ".lora_down", weight = ".weight";
        std::string name = convert_tensor_name(before + key + after + weight, version_);
        if (starts_with(name, before)) {
            name = name.substr(before.size());
        }
        if (ends_with(name, after)) {
            name = name.substr(0, name.size() - after.size());
        }
        int index = 0;
        const size_t dot = name.rfind('.');
        if (dot != std::string::npos && dot + 2 == name.size() && isdigit(name[dot + 1]) != 0) {
            index = name[dot + 1] - '0';
            name = name.substr(0, dot);
        }
        return {ends_with(name, weight) ? name.substr(0, name.size() - weight.size()) : "", index};
    }

    // The only layer whose name ends as the key does, once its prefix is gone.
    std::string by_end(const std::string &key) const {
        const std::string flat = flattened(key);
        const bool of_text = flat.find("lora_te") == 0 || flat.find("text_encoder") != std::string::npos ||
                             flat.find("text_model") != std::string::npos;
        for (size_t begin = 0; begin != std::string::npos;
             begin = flat.find('_', begin), begin += begin == std::string::npos ? 0 : 1) {
            const std::string rest = flat.substr(begin);
            // "blocks_0_attn" and less would be an end of many.
            if (std::count(rest.begin(), rest.end(), '_') < 2 && begin > 0) {
                break;
            }
            std::string found;
            int count = 0;
            for (const auto &[name, own] : flat_) {
                const bool is_end = name == rest || ends_with(name, "_" + rest);
                const sdpy_part part = layers_.at(own).part;
                if (is_end && part == (of_text ? SDPY_TEXT_ENCODER : SDPY_DIFFUSION_MODEL)) {
                    found = own;
                    ++count;
                }
            }
            if (count > 0) {
                return count == 1 ? found : "";
            }
        }
        return "";
    }

    const ModelLayers &layers_;
    const SDVersion version_;
    std::map<std::string, std::string> flat_;
};

// What LoRAs add to the layers of one part. In memory of the part's device.
class LoraLayers : public WeightAdapter {
   public:
    // Throws BadSettings where a pair does not fit its layer, OutOfMemory.
    LoraLayers(ggml_backend_t backend, const std::vector<const LoraLayer *> &given, const ModelLayers &layers)
        : context_(ggml_init({given.size() * 2 * ggml_tensor_overhead(), nullptr, true})) {
        if (context_ == nullptr) {
            throw OutOfMemory("no room for the names of a LoRA's layers");
        }
        for (const LoraLayer *layer : given) {
            check_fits(*layer, *layers.at(layer->layer).weight);
            pairs_[layer->layer + "."] = {tensor_of(layer->down), tensor_of(layer->up)};
        }
        buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), backend));
        if (buffer_ == nullptr) {
            throw OutOfMemory(std::string("no room for a LoRA on ") + ggml_backend_name(backend));
        }
        counted_ = CountedBytes(ggml_backend_get_device(backend), ggml_backend_buffer_get_size(buffer_.get()));
        for (const LoraLayer *layer : given) {
            const Pair &pair = pairs_.at(layer->layer + ".");
            fill(pair.down, layer->down);
            fill(pair.up, layer->up);
        }
    }

    ggml_tensor *patch_weight(ggml_context *, ggml_backend_t, ggml_tensor *weight, const std::string &) override {
        return weight;
    }

    ggml_tensor *forward_with_lora(ggml_context *ctx, ggml_backend_t, ggml_tensor *x, ggml_tensor *w, ggml_tensor *b,
                                   const std::string &prefix, ForwardParams params) override {
        const auto pair = pairs_.find(prefix);
        if (pair == pairs_.end()) {
            return apply(ctx, x, w, b, params);
        }
        used_.insert(prefix);
        if (ggml_tensor *all = apply_at_once(ctx, x, w, b, pair->second, params)) {
            return all;
        }
        ggml_tensor *out = apply(ctx, x, w, b, params);
        ggml_tensor *inner = apply(ctx, x, pair->second.down, nullptr, params);
        params.conv2d.s0 = params.conv2d.s1 = params.conv2d.d0 = params.conv2d.d1 = 1;
        params.conv2d.p0 = params.conv2d.p1 = 0;
        return ggml_add(ctx, out, apply(ctx, inner, pair->second.up, nullptr, params));
    }

    // How many of the layers no graph has had yet.
    size_t unused() const { return pairs_.size() - used_.size(); }

    size_t get_extra_graph_size() override { return pairs_.size() * 16; }

   private:
    struct Pair {
        ggml_tensor *down, *up;
    };

    static void check_fits(const LoraLayer &layer, const ggml_tensor &weight) {
        const auto &down = layer.down.shape, &up = layer.up.shape;
        const bool conv = ggml_n_dims(&weight) > 2;
        const int64_t inputs = conv ? weight.ne[2] : weight.ne[0], outputs = conv ? weight.ne[3] : weight.ne[1];
        bool fits = down.size() == (conv ? 4 : 2) && up.size() == down.size() && down[0] > 0 && up[1] == down[0] &&
                    down[1] == inputs && up[0] == outputs && layer.down.dtype == SDPY_FLOAT32 &&
                    layer.up.dtype == SDPY_FLOAT32;
        if (fits && conv) {
            fits = up[2] == 1 && up[3] == 1 && down[2] == weight.ne[1] && down[3] == weight.ne[0];
        }
        if (!fits) {
            throw BadSettings("the LoRA's layer '" + layer.layer + "' has other sizes than the model's");
        }
    }

    // Weights of convolutions are float16, as all are that the engine's convolutions read.
    ggml_tensor *tensor_of(const Array &array) {
        const std::vector<int64_t> extents(array.shape.rbegin(), array.shape.rend());
        return ggml_new_tensor(context_.get(), extents.size() == 4 ? GGML_TYPE_F16 : GGML_TYPE_F32,
                               static_cast<int>(extents.size()), extents.data());
    }

    static void fill(ggml_tensor *tensor, const Array &array) {
        if (tensor->type == GGML_TYPE_F32) {
            ggml_backend_tensor_set(tensor, array.bytes.data(), 0, array.bytes.size());
            return;
        }
        std::vector<ggml_fp16_t> half(static_cast<size_t>(ggml_nelements(tensor)));
        ggml_fp32_to_fp16_row(reinterpret_cast<const float *>(array.bytes.data()), half.data(), ggml_nelements(tensor));
        ggml_backend_tensor_set(tensor, half.data(), 0, ggml_nbytes(tensor));
    }

    // Where our kernels do it in one. Null otherwise, and for layers whose activations are scaled so that halves hold them,
    // which floats do anyway.
    static ggml_tensor *apply_at_once(ggml_context *ctx, ggml_tensor *x, ggml_tensor *w, ggml_tensor *b,
                                      const Pair &pair, const ForwardParams &params) {
        if (params.op_type != ForwardParams::op_type_t::OP_LINEAR) {
            return nullptr;
        }
        ggml_tensor *out = product_and_low_rank(ctx, w, x, pair.down, pair.up);
        return out == nullptr || b == nullptr ? out : ggml_add_inplace(ctx, out, b);
    }

    static ggml_tensor *apply(ggml_context *ctx, ggml_tensor *x, ggml_tensor *w, ggml_tensor *b,
                              const ForwardParams &params) {
        if (params.op_type == ForwardParams::op_type_t::OP_LINEAR) {
            return ggml_ext_linear(ctx, x, w, b, params.linear.force_prec_f32, params.linear.scale);
        }
        const auto &conv = params.conv2d;
        return ggml_ext_conv_2d(ctx, x, w, b, conv.s0, conv.s1, conv.p0, conv.p1, conv.d0, conv.d1, conv.direct,
                                conv.circular_x, conv.circular_y, conv.scale);
    }

    std::unique_ptr<ggml_context, FreedByGgml> context_;
    std::unique_ptr<ggml_backend_buffer, FreedByGgml> buffer_;
    std::unordered_map<std::string, Pair> pairs_;
    std::set<std::string> used_;
    CountedBytes counted_;
};

}  // namespace sdpy
