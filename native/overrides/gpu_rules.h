// What graphs for a GPU do otherwise than the engine's own. Which of it suits a device, Python decides when a model is opened.
#pragma once

namespace sdpy {

struct GpuRules {
    // Convolutions in one pass, with sums in float32, where the engine writes every input nine times over in half precision
    // and multiplies that (im2col): less than half of the memory.
    bool direct_convolutions = false;
    // Sums of products in float32. A GPU that computes in half precision would else sum up in it too, and clamp what
    // passes its range: wrong numbers without a word.
    bool float32_sums = false;
    // Weights in memory of this process, which the GPU imports (devices/imported_memory.h).
    bool imported_weights = false;

    // Of this thread's graphs.
    static const GpuRules &now();

    // As long as it lives, this thread's graphs are built and computed by these rules.
    class Scope {
       public:
        explicit Scope(const GpuRules &rules);
        ~Scope();
        Scope(const Scope &) = delete;
        Scope &operator=(const Scope &) = delete;
    };
};

}  // namespace sdpy
