// Attention in the engine's graphs.
#include <algorithm>
#include <cmath>

#include "kernels/attention.h"
#include "kernels/graph.h"
#include "kernels/levels.h"
#include "kernels/nodes.h"
#include "kernels/pieces.h"

namespace sdpy {

namespace {

// Each piece lays out all keys of its head.
constexpr int64_t fewest_queries = 96;

int64_t floats(size_t bytes) { return static_cast<int64_t>(bytes / sizeof(float)); }

const float *matrix_of(const ggml_tensor *tensor, int64_t i2, int64_t i3) {
    return reinterpret_cast<const float *>(static_cast<const char *>(tensor->data) + i2 * tensor->nb[2] +
                                           i3 * tensor->nb[3]);
}

// One head of one of a batch. Of the sources (head size, tokens, heads, batch), keys and values may have fewer heads, each of
// which stands for several of the queries'.
Attention head_of(const ggml_tensor *result, int64_t head, int64_t n, float scale) {
    const ggml_tensor *q = result->src[0], *k = result->src[1], *v = result->src[2], *mask = result->src[3];
    const int64_t of_keys = head / (q->ne[2] / k->ne[2]), size = q->ne[0];
    Attention one{size,
                  q->ne[1],
                  k->ne[1],
                  scale,
                  matrix_of(q, head, n),
                  matrix_of(k, of_keys, n),
                  matrix_of(v, of_keys, n),
                  floats(q->nb[1]),
                  floats(k->nb[1]),
                  floats(v->nb[1]),
                  nullptr,
                  0,
                  static_cast<float *>(result->data) + n * floats(result->nb[2]) + head * size,
                  floats(result->nb[1])};
    if (mask != nullptr) {
        one.mask = matrix_of(mask, mask->ne[2] == 1 ? 0 : head, 0);
        one.mask_stride = mask->ne[1] == 1 ? 0 : floats(mask->nb[1]);
    }
    return one;
}

// Result (head size * heads, tokens, batch).
void attend(ggml_tensor *result, int, int threads, void *kernels) {
    const ggml_tensor *q = result->src[0];
    const int64_t heads = q->ne[2] * q->ne[3], queries = q->ne[1];
    const int64_t wanted = (Pieces::wanted(threads, INT32_MAX) + heads - 1) / heads;
    const int64_t parts = std::min(wanted, std::max<int64_t>(1, queries / fewest_queries));
    const float scale = 1.0f / std::sqrt(static_cast<float>(q->ne[0]));
    const Pieces pieces(result, threads, heads * parts);
    for (int64_t piece = pieces.next(); piece >= 0; piece = pieces.next()) {
        const int64_t head = piece / parts, part = piece % parts;
        static_cast<const AttentionKernels *>(kernels)->attend(head_of(result, head % q->ne[2], head / q->ne[2], scale),
                                                               share(queries, part, parts),
                                                               share(queries, part + 1, parts));
    }
}

bool in_rows(const ggml_tensor *x) { return x->type == GGML_TYPE_F32 && x->nb[0] == sizeof(float); }

bool fits(const ggml_tensor *q, const ggml_tensor *k, const ggml_tensor *v, const ggml_tensor *mask) {
    const bool shapes = q->ne[0] == k->ne[0] && q->ne[0] == v->ne[0] && k->ne[1] == v->ne[1] && k->ne[2] == v->ne[2] &&
                        q->ne[2] % k->ne[2] == 0 && q->ne[3] == k->ne[3] && q->ne[3] == v->ne[3];
    const bool masks =
        mask == nullptr || (in_rows(mask) && mask->ne[0] == k->ne[1] && (mask->ne[1] == 1 || mask->ne[1] == q->ne[1]) &&
                            (mask->ne[2] == 1 || (mask->ne[2] == q->ne[2] && q->ne[3] == 1)) && mask->ne[3] == 1);
    return in_rows(q) && in_rows(k) && in_rows(v) && shapes && masks && q->ne[0] <= largest_head;
}

}  // namespace

bool is_attention(const ggml_tensor *node) { return runs(node, attend); }

// Products of queries and keys, and of weights and values.
double attention_cost(const ggml_tensor *node) {
    return 4.0 * static_cast<double>(ggml_nelements(node) * node->src[1]->ne[1]);
}

ggml_tensor *attention_node(ggml_context *context, ggml_tensor *q, ggml_tensor *k, ggml_tensor *v, ggml_tensor *mask) {
    const Level *level = Kernels::in_use();
    if (level == nullptr || !fits(q, k, v, mask)) {
        return nullptr;
    }
    std::vector<ggml_tensor *> sources{q, k, v};
    if (mask != nullptr) {
        sources.push_back(mask);
    }
    return kernel_node(context, attend, level->attention, GGML_TYPE_F32, sources, q->ne[0] * q->ne[2], q->ne[1],
                       q->ne[3], 1);
}

}  // namespace sdpy
