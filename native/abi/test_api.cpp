// The functions of base/sdpy.h that run one part by itself.
#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/sdpy_parts.h"
#include "base/status.h"
#include "devices/submission_pacing.h"
#include "ggml.h"
#include "jobs/events.h"
#include "kernels/convolution.h"
#include "kernels/levels.h"
#include "kernels/nodes.h"
#include "kernels/product_nodes.h"
#include "kernels/winograd.h"
#include "model_io/gguf_io.h"
#include "model_io/safetensors_io.h"
#include "tokenizer/tokenizers.h"
#include "weights/shared_store.h"

namespace {

const sdpy::Level &level_of(const char *name) {
    const sdpy::Level *level = sdpy::level_named(name);
    if (level == nullptr) {
        throw sdpy::BadSettings("this CPU cannot run these kernels");
    }
    return *level;
}

template <class Part>
void in_parts(int parts, int64_t all, Part &&part) {
    for (int i = 0; i < parts; ++i) {
        part(sdpy::share(all, i, parts), sdpy::share(all, i + 1, parts));
    }
}

// Pads and packs in parts, with kernels of either kind; returns packed weights.
template <class Table>
std::vector<float> prepare(const Table &kernels, const sdpy::Convolution &shape, const float *picture,
                           const uint16_t *weights, std::vector<float> &padded, int64_t rows, int parts) {
    const int64_t row = shape.width * static_cast<int64_t>(sizeof(float));
    in_parts(parts, rows, [&](int64_t from, int64_t to) {
        kernels.pad(shape, reinterpret_cast<const char *>(picture), row, row * shape.height, padded.data(), from, to);
    });
    std::vector<float> packed(sdpy::packed_size(shape, kernels));
    in_parts(parts, sdpy::block_count(shape, kernels),
             [&](int64_t from, int64_t to) { kernels.pack(shape, weights, true, packed.data(), from, to); });
    return packed;
}

}  // namespace

extern "C" {

int sdpy_kernels_run(const char *level) { return sdpy::level_named(level) != nullptr; }

int sdpy_convolve(const char *level, const float *picture, const uint16_t *weights, float *out, int channels,
                  int height, int width, int out_channels, int edge, int parts, sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        const sdpy::ConvolutionKernels &kernels = *level_of(level).convolution;
        const sdpy::Convolution shape{width, height, channels, out_channels, edge};
        std::vector<float> padded(sdpy::padded_height(shape) * channels * sdpy::padded_width(shape));
        const auto packed = prepare(kernels, shape, picture, weights, padded, sdpy::padded_height(shape), parts);
        in_parts(parts, height, [&](int64_t from, int64_t to) {
            kernels.convolve(shape, padded.data(), packed.data(), out, from, to);
        });
    });
}

int sdpy_winograd(const char *level, const float *picture, const uint16_t *weights, float *out, int channels,
                  int height, int width, int out_channels, int parts, sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        const sdpy::WinogradKernels &kernels = *level_of(level).winograd;
        const sdpy::Convolution shape{width, height, channels, out_channels, 3};
        std::vector<float> padded(sdpy::tiled_height(shape) * sdpy::tiled_width(shape) * sdpy::spaced(channels));
        const auto packed = prepare(kernels, shape, picture, weights, padded, sdpy::tiled_height(shape), parts);
        std::vector<float> scratch(sdpy::scratch_size(shape));
        const int64_t most = sdpy::most_tiles(shape);
        in_parts(parts, sdpy::tile_rows(shape) * sdpy::tile_columns(shape), [&](int64_t from, int64_t to) {
            for (; from < to; from += most) {
                kernels.convolve(shape, padded.data(), packed.data(), scratch.data(), out, from,
                                 to - from < most ? to : from + most);
            }
        });
    });
}

int sdpy_multiply(const char *level, int type, const void *weights, const float *activations, float *out, int inputs,
                  int outputs, int tokens, int parts, const float *inner, const float *up, int rank,
                  sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        const sdpy::ProductKernels &kernels = *level_of(level).product;
        const auto kind = sdpy::weight_type(type);
        if (!kind || inputs % ggml_blck_size(static_cast<ggml_type>(type)) != 0) {
            throw sdpy::BadSettings("no kernel multiplies weights of this type and shape");
        }
        const auto row = static_cast<int64_t>(ggml_row_size(static_cast<ggml_type>(type), inputs));
        const sdpy::Product product{inputs, outputs, tokens, *kind, weights, row, inputs, rank, inner, up};
        std::vector<char> rounded(sdpy::is_rounded(*kind) ? sdpy::rounded_bytes(product) : 0);
        in_parts(rounded.empty() ? 0 : parts, tokens, [&](int64_t from, int64_t to) {
            kernels.round(product, reinterpret_cast<const char *>(activations), inputs * sizeof(float), rounded.data(),
                          from, to);
        });
        const void *given = rounded.empty() ? static_cast<const void *>(activations) : rounded.data();
        in_parts(parts, sdpy::block_count(product, kernels), [&](int64_t from, int64_t to) {
            in_parts(parts, tokens, [&](int64_t first, int64_t last) {
                kernels.multiply(product, given, out, from, to, first, last);
            });
        });
    });
}

int sdpy_tokenize(const char *tokenizer, const char *text, int *tokens, int capacity, int *count,
                  sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        // Made once, because a test asks for thousands of texts; constant, because threads share them.
        static const sdpy::PromptTokenizer qwen;
        static const sdpy::ClipTokenizer clip;
        const std::string name = tokenizer;
        if (name != "qwen" && name != "clip") {
            throw sdpy::BadSettings("there is no tokenizer '" + name + "'; it is qwen or clip");
        }
        const std::vector<int> found = name == "clip" ? clip.tokens(text) : qwen.tokens(text);
        *count = static_cast<int>(found.size());
        std::copy_n(found.begin(), std::min<size_t>(found.size(), capacity), tokens);
    });
}

int sdpy_read_header(const char *path, sdpy_stored_tensor *tensors, int capacity, int *count, sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        std::vector<TensorStorage> found;
        std::string error;
        const bool gguf = is_gguf_file(path);
        if (!(gguf ? read_gguf_file(path, found, &error)
                   : is_safetensors_file(path) && read_safetensors_file(path, found, &error))) {
            throw sdpy::LoadFailed(error.empty() ? "neither GGUF nor safetensors" : error);
        }
        *count = static_cast<int>(found.size());
        for (size_t i = 0; i < found.size() && i < static_cast<size_t>(capacity); ++i) {
            sdpy::copy_text(tensors[i].name, sizeof tensors[i].name, found[i].name);
            tensors[i].type = found[i].type;
            std::copy_n(found[i].ne, SD_MAX_DIMS, tensors[i].shape);
            tensors[i].offset = found[i].offset;
            tensors[i].bytes = static_cast<uint64_t>(found[i].nbytes_to_read());
        }
    });
}

int sdpy_keep_events(const sdpy_event *events, int count, sdpy_event *out, int capacity, int *kept,
                     sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        sdpy::EventQueue queue;
        std::for_each(events, events + count, [&](const sdpy_event &event) { queue.push(event); });
        *kept = static_cast<int>(queue.size());
        for (int i = 0; i < capacity && !queue.empty(); ++i) {
            out[i] = queue.pop();
        }
    });
}

int sdpy_play_submissions(const double *seeds, const double *paces, double start, const double *shares, int count,
                          double *seconds, sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        static std::atomic<int> played{0};
        const std::string device = "played" + std::to_string(played++);
        sdpy::promise_pace(device, {seeds[0], seeds[1], seeds[2]});
        sdpy::Pace pace = sdpy::Pace::of_gpu_named(device);
        for (int i = 0; i < count; ++i, shares += sdpy::work_kinds) {
            sdpy::Costs costs{};
            seconds[i] = start;
            for (size_t kind = 0; kind < sdpy::work_kinds; ++kind) {
                const double of_one = pace.seconds(static_cast<sdpy::WorkKind>(kind), 1);
                costs[kind] = shares[kind] * pace.most_seconds() / of_one;
                seconds[i] += costs[kind] / paces[kind];
            }
            pace.computed(costs, seconds[i]);
        }
    });
}

int sdpy_texts_read(void) { return sdpy::texts_read().load(); }

int sdpy_shelf_count(void) { return static_cast<int>(sdpy::shelf_count()); }

}  // extern "C"
