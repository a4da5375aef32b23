// How much work a dispatch is: an estimate, from its shader's name and its push constants.
#pragma once

#include <cstdint>

#include "device.h"

namespace rig {

// What a dispatch was estimated to be.
//
// Products (ggml's matmul_*, mul_mat_vec_*), convolutions (conv2d_*) and attention (flash_attn_*) say their sizes in
// their push constants and specialization constants: 2 operations for each multiplication and addition, what is asked
// for and not what padding to tiles adds. Norms, softmax and other work by rows: the rows' elements. Everything else:
// one element for each invocation. An element counts as `element_cost` operations, which is what the machine could
// have computed while it moves an element's bytes to and fro. So an estimate is right for what is long, to within a
// factor of two or so for what is short, and knows nothing of caches, of time that starting takes, or of a shader
// that is slow on some chip.
struct Work {
    double operations = 0;
    // The numbers that the dispatch writes, one after the other from where its output is bound; 0: not known.
    uint64_t outputs = 0;
    bool half = false;  // they have 16 bits, not 32
};

// Where a dispatch writes and how much of it, in whole words; without a buffer where that is not known. With the device's
// mutex held.
BoundRange results_of(const Device &device, const Recording &recording, const Pipeline &pipeline, const Work &work);

Work work_of(const Pipeline &pipeline, const std::vector<unsigned char> &constants, const uint32_t (&groups)[3]);

}  // namespace rig
