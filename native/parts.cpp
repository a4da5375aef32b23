// The functions of sdpy.h that run one part by itself.
#include <algorithm>
#include <vector>

#include "boundary.h"
#include "errors.h"
#include "kernels/convolution.h"
#include "kernels/graph.h"
#include "sdpy.h"
#include "tokenizer.h"

extern "C" {

int sdpy_kernels_run(int level) { return sdpy::convolution_kernels_of(level) != nullptr; }

int sdpy_convolve(int level, const float *picture, const uint16_t *weights, float *out, int channels, int height,
                  int width, int out_channels, int parts, sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        const sdpy::ConvolutionKernels *kernels = sdpy::convolution_kernels_of(level);
        if (kernels == nullptr) {
            throw sdpy::BadSettings("this CPU cannot run these kernels");
        }
        const sdpy::Convolution shape{width, height, channels, out_channels};
        const int64_t blocks = sdpy::block_count(shape, *kernels);
        std::vector<float> padded((height + 2) * channels * sdpy::padded_width(shape));
        std::vector<float> packed(blocks * sdpy::packed_size(shape, *kernels));
        const auto in_parts = [parts](int64_t all, auto &&part) {
            for (int i = 0; i < parts; ++i) {
                part(all * i / parts, all * (i + 1) / parts);
            }
        };
        const int64_t row = width * static_cast<int64_t>(sizeof(float));
        in_parts(height + 2, [&](int64_t from, int64_t to) {
            kernels->pad(shape, reinterpret_cast<const char *>(picture), row, row * height, padded.data(), from, to);
        });
        in_parts(blocks, [&](int64_t from, int64_t to) {
            kernels->pack(shape, weights, true, packed.data(), from, to);
        });
        in_parts(height, [&](int64_t from, int64_t to) {
            kernels->convolve(shape, padded.data(), packed.data(), out, from, to);
        });
    });
}

int sdpy_tokenize(const char *text, int *tokens, int capacity, int *count, sdpy_failure *failure) {
    return sdpy::guarded(failure, [&] {
        static sdpy::PromptTokenizer tokenizer;  // made once: a test asks for thousands of texts
        const std::vector<int> found = tokenizer.encode(text);
        *count = static_cast<int>(found.size());
        std::copy_n(found.begin(), std::min<size_t>(found.size(), capacity), tokens);
    });
}

}  // extern "C"
