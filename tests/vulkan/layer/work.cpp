#include "work.h"

#include <algorithm>
#include <cstring>

#include "machine.h"

namespace rig {

namespace {

bool begins(const std::string &text, const char *with) { return text.rfind(with, 0) == 0; }

class Words {
   public:
    explicit Words(const std::vector<unsigned char> &bytes) : bytes_(bytes) {}
    size_t bytes() const { return bytes_.size(); }
    uint64_t operator[](size_t index) const {
        uint32_t word = 0;
        if ((index + 1) * sizeof word <= bytes_.size()) {
            std::memcpy(&word, bytes_.data() + index * sizeof word, sizeof word);
        }
        return word;
    }

   private:
    const std::vector<unsigned char> &bytes_;
};

uint64_t constant(const Pipeline &pipeline, size_t index) {
    return index < pipeline.constants.size() ? pipeline.constants[index] : 1;
}

Work of(uint64_t outputs, uint64_t products_each) {
    return {2.0 * static_cast<double>(outputs) * static_cast<double>(products_each), outputs, false};
}

// Constants: M N K stride_a stride_b stride_d ... k_split at 11. One workgroup in z is one matrix of a batch; where K
// is split, as many results are written as there are parts, and another shader adds them up.
Work matrix_product(const Words &words, const uint32_t (&groups)[3]) {
    const uint64_t per_part = std::max<uint64_t>(words[11], 1);
    const uint64_t parts = (words[2] + per_part - 1) / per_part;
    Work work = of(words[0] * words[1] * groups[2], words[2]);
    work.outputs *= parts;
    return work;
}

// The same begin; the tokens' experts are at 9, the tokens at 10.
Work expert_product(const Words &words) {
    Work work = of(words[0] * words[9] * words[10], words[2]);
    work.outputs = 0;  // they are scattered
    return work;
}

// Constants: columns stride_a stride_b rows ...; the third specialization constant says how many vectors.
Work vector_product(const Pipeline &pipeline, const Words &words, const uint32_t (&groups)[3]) {
    return of(words[3] * constant(pipeline, 2) * groups[1], words[0]);
}

// Constants: Cout Cin N W H OW OH; the last two specialization constants are the kernel's width and height.
Work convolution(const Pipeline &pipeline, const Words &words) {
    return of(words[0] * words[2] * words[5] * words[6], words[1] * constant(pipeline, 13) * constant(pipeline, 14));
}

// Constants: N keys heads queries batch; specialization constants 3 and 4 are a head's sizes.
Work attention(const Pipeline &pipeline, const Words &words) {
    Work work = of(words[2] * words[3] * words[4], words[1] * (constant(pipeline, 3) + constant(pipeline, 4)));
    work.outputs *= constant(pipeline, 4);
    return work;
}

bool works_by_rows(const std::string &name) {
    for (const char *kind : {"norm_", "group_norm", "rms_norm", "l2_norm", "soft_max", "sum_rows"}) {
        if (begins(name, kind)) {
            return true;
        }
    }
    return false;
}

Work elements(const Pipeline &pipeline, const Words &words, const uint32_t (&groups)[3]) {
    const uint64_t all_groups = static_cast<uint64_t>(groups[0]) * groups[1] * groups[2];
    Work work;
    uint64_t count;
    if (works_by_rows(pipeline.name)) {
        // The first constant is a row's length, and a workgroup has a row; norms over ggml's strided rows count them
        // first.
        const uint64_t row =
            begins(pipeline.name, "rms_norm") || begins(pipeline.name, "l2_norm") ? words[1] : words[0];
        count = row * all_groups;
        work.outputs = begins(pipeline.name, "sum_rows") ? all_groups : count;
    } else {
        count = all_groups;
        for (const uint32_t size : pipeline.local_size) {
            count *= size;
        }
        // Shaders over elements say how many there are in their first constant; each invocation has one, or two.
        constexpr size_t one_input = 128, two_inputs = 116, plain = 24;
        const bool says = words.bytes() == one_input || words.bytes() == two_inputs || words.bytes() == plain;
        if (says && words[0] <= 2 * count && count < words[0] + 512ULL * 512) {
            count = work.outputs = words[0];
        }
    }
    const size_t underscore = pipeline.name.rfind("_f");
    work.half = underscore != std::string::npos && pipeline.name.compare(underscore, 4, "_f16") == 0;
    work.operations = machine().element_cost * static_cast<double>(count);
    return work;
}

}  // namespace

Work work_of(const Pipeline &pipeline, const std::vector<unsigned char> &constants, const uint32_t (&groups)[3]) {
    const Words words(constants);
    const std::string &name = pipeline.name;
    if (begins(name, "matmul_id_")) {
        return expert_product(words);
    }
    if (begins(name, "matmul_")) {
        return matrix_product(words, groups);
    }
    if (begins(name, "mul_mat_vec_") && !begins(name, "mul_mat_vec_id_") && !begins(name, "mul_mat_vec_p021") &&
        !begins(name, "mul_mat_vec_nc")) {
        return vector_product(pipeline, words, groups);
    }
    if ((begins(name, "conv2d_") || begins(name, "conv_transpose_2d_")) && !begins(name, "conv2d_dw_")) {
        return convolution(pipeline, words);
    }
    if (begins(name, "flash_attn_") && !begins(name, "flash_attn_split_k_reduce")) {
        return attention(pipeline, words);
    }
    return elements(pipeline, words, groups);
}

BoundRange results_of(const Device &device, const Recording &recording, const Pipeline &pipeline, const Work &work) {
    if (recording.sets.empty() || pipeline.shader.output < 0 || work.outputs == 0) {
        return {};
    }
    const auto set = device.sets.find(recording.sets[0]);
    if (set == device.sets.end()) {
        return {};
    }
    const auto bound = set->second.find(static_cast<uint32_t>(pipeline.shader.output));
    if (bound == set->second.end()) {
        return {};
    }
    BoundRange results = bound->second;
    // Where a buffer is bound to its end, what lies behind the results is not theirs.
    results.range = std::min<VkDeviceSize>(results.range, work.outputs * (work.half ? 2 : 4)) / 4 * 4;
    return results;
}

}  // namespace rig
