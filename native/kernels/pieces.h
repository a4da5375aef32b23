/* The pieces that the threads of a node share its work by. */
#ifndef SDPY_KERNELS_PIECES_H
#define SDPY_KERNELS_PIECES_H

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "ggml.h"

namespace sdpy {

/* Each thread takes the next piece when it is done with one, so a core that is slower than the others, or has something
 * else to do, takes fewer. Results do not depend on who computes which. The two counters lie behind the parameters that
 * ggml keeps in the node: the last thread that finds nothing left sets them back. Before them lies where to look whether the
 * job was cancelled: then no further piece is taken, and nobody reads what the node gives. */
class Pieces {
   public:
    Pieces(ggml_tensor *node, int threads, int64_t count)
        : taken_(node->op_params + taken_at), done_(node->op_params + taken_at + 1), threads_(threads), count_(count) {
        std::memcpy(&cancelled_, node->op_params + flag_at, sizeof cancelled_);
    }

    /* Lets a node of ours end early where the flag is set, which must live until the node was computed. */
    static void heed(ggml_tensor *node, const std::atomic<bool> *cancelled) {
        std::memcpy(node->op_params + flag_at, &cancelled, sizeof cancelled);
    }

    /* The number of a piece that nobody has, or -1, once, when there is none. */
    int64_t next() const {
        if (cancelled_ == nullptr || !cancelled_->load(std::memory_order_relaxed)) {
            const int32_t piece = __atomic_fetch_add(taken_, 1, __ATOMIC_RELAXED);
            if (piece < count_) {
                return piece;
            }
        }
        if (__atomic_add_fetch(done_, 1, __ATOMIC_ACQ_REL) == threads_) {
            __atomic_store_n(taken_, 0, __ATOMIC_RELAXED);
            __atomic_store_n(done_, 0, __ATOMIC_RELAXED);
        }
        return -1;
    }

    /* So many that a slow thread holds the others up for a small part of the work only, if `most` allows it. */
    static int64_t wanted(int threads, int64_t most) {
        return std::max<int64_t>(1, std::min<int64_t>(pieces_per_thread * threads, most));
    }

   private:
    static constexpr int taken_at = GGML_MAX_OP_PARAMS / sizeof(int32_t) - 2, flag_at = taken_at - 2,
                         pieces_per_thread = 8;

    int32_t *taken_, *done_;
    int threads_;
    int64_t count_;
    const std::atomic<bool> *cancelled_;
};

}  // namespace sdpy

#endif
