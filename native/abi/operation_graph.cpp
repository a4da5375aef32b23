// Compiled as a part of the engine: its functions, and the names that are re-pointed in them, are those of its own graphs.
#include "abi/operation_graph.h"

#include "base/errors.h"
#include "devices/devices.h"
#include "kernels/graph.h"
#include "overrides/fused_rope.h"

namespace sdpy {

namespace {

constexpr float epsilon = 1e-6f;
constexpr int groups = 32;
// Qwen3's, which most of the language models here are.
constexpr int context_length = 40960;
constexpr float rope_base = 1e6f;
// Flash attention would fill up others.
constexpr int64_t flash_tokens = 256;

void require(bool fits, const char *otherwise) {
    if (!fits) {
        throw BadSettings(otherwise);
    }
}

ggml_tensor *tensor_of(ggml_context *context, ggml_type type, const int64_t (&shape)[4]) {
    for (const int64_t extent : shape) {
        require(extent >= 1 && extent <= (int64_t{1} << 31), "an operation's shapes are of 1 and more on each axis");
    }
    require(shape[0] % ggml_blck_size(type) == 0, "the first axis is no multiple of the type's block");
    return ggml_new_tensor(context, type, 4, shape);
}

ggml_tensor *product_of(ggml_context *context, ggml_tensor *w, ggml_tensor *x) {
    require(w->ne[0] == x->ne[0] && x->ne[2] % w->ne[2] == 0 && x->ne[3] % w->ne[3] == 0,
            "these shapes cannot be multiplied");
    return ggml_mul_mat(context, w, x);
}

ggml_tensor *convolution_of(ggml_context *context, ggml_tensor *w, ggml_tensor *x, bool direct) {
    require(w->ne[2] == x->ne[2] && (w->type == GGML_TYPE_F16 || w->type == GGML_TYPE_F32),
            "these shapes or types cannot be convolved");
    const int pad_w = static_cast<int>(w->ne[0] / 2), pad_h = static_cast<int>(w->ne[1] / 2);
    return direct ? ggml_conv_2d_direct(context, w, x, 1, 1, pad_w, pad_h, 1, 1)
                  : ggml_conv_2d(context, w, x, 1, 1, pad_w, pad_h, 1, 1);
}

void require_mask(const ggml_tensor *mask, int64_t columns, int64_t rows) {
    require(mask == nullptr || (mask->type == GGML_TYPE_F32 && mask->ne[0] == columns && mask->ne[1] == rows &&
                                ggml_nelements(mask) == columns * rows),
            "this mask does not fit");
}

ggml_tensor *soft_max_of(ggml_context *context, ggml_tensor *mask, ggml_tensor *x) {
    require_mask(mask, x->ne[0], x->ne[1]);
    return mask == nullptr ? ggml_soft_max(context, x) : ggml_soft_max_ext(context, x, mask, 1.f, 0.f);
}

ggml_tensor *rope_of(ggml_context *context, ggml_tensor *x, ggml_tensor *positions) {
    return ggml_rope_ext(context, x, positions, nullptr, static_cast<int>(x->ne[0]), GGML_ROPE_TYPE_NEOX,
                         context_length, rope_base, 1.f, 0.f, 1.f, 32.f, 1.f);
}

GGMLRunnerContext engine_context(ggml_context *context, ggml_backend_t backend, bool flash) {
    GGMLRunnerContext run;
    run.ggml_ctx = context;
    run.backend = backend;
    run.flash_attn_enabled = flash;
    return run;
}

ggml_tensor *rotation_of(ggml_context *context, ggml_backend_t backend, ggml_tensor *angles, ggml_tensor *x) {
    const bool fits = angles->type == GGML_TYPE_F32 && angles->ne[0] == 2 && angles->ne[1] == 2 &&
                      2 * angles->ne[2] == x->ne[0] && angles->ne[3] == x->ne[2] && x->ne[3] == 1;
    require(fits, "these angles do not fit");
    GGMLRunnerContext run = engine_context(context, backend, false);
    return rotated(&run, x, angles, true);
}

ggml_tensor *attention_of(ggml_context *context, ggml_backend_t backend, ggml_tensor *mask, ggml_tensor *x,
                          bool flash) {
    require(x->ne[3] == 3, "attention reads queries, keys and values");
    require_mask(mask, x->ne[1], x->ne[1]);
    require(!flash || (mask == nullptr && x->ne[1] % flash_tokens == 0),
            "flash attention reads a multiple of 256 tokens, and no mask");
    const auto one = [&](size_t index) {
        return ggml_view_3d(context, x, x->ne[0], x->ne[1], x->ne[2], x->nb[1], x->nb[2], index * x->nb[3]);
    };
    ggml_tensor *values = ggml_cont(context, ggml_permute(context, one(2), 0, 2, 1, 3));
    GGMLRunnerContext run = engine_context(context, backend, flash);
    return attention_in_parts(&run, one(0), one(1), values, mask, 1.f);
}

ggml_tensor *result_of(ggml_context *context, ggml_backend_t backend, const sdpy_operation &operation,
                       const OperationGraph &tensors) {
    ggml_tensor *w = tensors.weights, *x = tensors.input;
    switch (operation.kind) {
        case SDPY_MULTIPLY:
            return product_of(context, w, x);
        case SDPY_CONVOLVE:
            return convolution_of(context, w, x, operation.direct != 0);
        case SDPY_NORM:
            return ggml_norm(context, x, epsilon);
        case SDPY_RMS_NORM:
            return ggml_rms_norm(context, x, epsilon);
        case SDPY_GROUP_NORM:
            return ggml_group_norm(context, x, groups, epsilon);
        case SDPY_SOFT_MAX:
            return soft_max_of(context, w, x);
        case SDPY_SILU:
            return ggml_silu(context, x);
        case SDPY_GELU:
            return ggml_gelu(context, x);
        case SDPY_UPSCALE:
            return ggml_upscale(context, x, 2, GGML_SCALE_MODE_NEAREST);
        case SDPY_ROPE:
            return rope_of(context, x, tensors.positions);
        case SDPY_ROTATE:
            return rotation_of(context, backend, w, x);
        case SDPY_ATTENTION:
        case SDPY_FLASH_ATTENTION:
            return attention_of(context, backend, w, x, operation.kind == SDPY_FLASH_ATTENTION);
        default:
            throw BadSettings("there is no such operation");
    }
}

}  // namespace

OperationGraph operation_graph(ggml_context *context, ggml_backend_t backend, const sdpy_operation &operation) {
    const bool reads_weights =
        operation.kind == SDPY_MULTIPLY || operation.kind == SDPY_CONVOLVE || operation.kind == SDPY_ROTATE;
    require(operation.weights != nullptr || !reads_weights, "this operation reads weights");
    OperationGraph tensors{};
    if (operation.weights != nullptr) {
        tensors.weights = tensor_of(context, static_cast<ggml_type>(operation.type), operation.weights_shape);
    }
    tensors.input = tensor_of(context, GGML_TYPE_F32, operation.input_shape);
    if (operation.kind == SDPY_ROPE) {
        require(tensors.input->ne[0] % 2 == 0 && tensors.input->ne[3] == 1, "a head is rotated by its halves");
        tensors.positions = ggml_new_tensor_1d(context, GGML_TYPE_I32, tensors.input->ne[2]);
    }
    const Kernels kernels(operation.kernels != 0 && runs_on_cpu(backend), operation.threads);
    tensors.result = result_of(context, backend, operation, tensors);
    return tensors;
}

}  // namespace sdpy
