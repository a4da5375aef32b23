#include "kernels/graph.h"

#include "kernels/levels.h"
#include "kernels/nodes.h"
#include "kernels/pieces.h"

namespace sdpy {

namespace {
thread_local const Level *level_in_use = nullptr;
thread_local int threads_in_use = 1;
}  // namespace

Kernels::Kernels(bool on, int threads) {
    level_in_use = on ? level_to_use() : nullptr;
    threads_in_use = threads;
}
Kernels::~Kernels() { level_in_use = nullptr; }
const Level *Kernels::in_use() { return level_in_use; }
int Kernels::threads() { return threads_in_use; }

double kernel_cost(const ggml_tensor *node) {
    if (is_convolution(node)) {
        return convolution_cost(node);
    }
    if (is_winograd(node)) {
        return winograd_cost(node);
    }
    if (is_attention(node)) {
        return attention_cost(node);
    }
    return is_product(node) ? 2.0 * static_cast<double>(ggml_nelements(node) * weights_of(node)->ne[0]) : 0;
}

void heed_cancelling(ggml_tensor *node, const std::atomic<bool> &cancelled) {
    if (is_convolution(node) || is_winograd(node) || is_product(node) || is_attention(node)) {
        Pieces::heed(node, &cancelled);
    }
}

const ggml_tensor *weights_of(const ggml_tensor *node) {
    return node->op == GGML_OP_MUL_MAT ? node->src[0] : is_product(node) ? node->src[1] : nullptr;
}

}  // namespace sdpy
