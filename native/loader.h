// Reading weights: our own way through a file that the engine has already described.
#pragma once

#include <map>
#include <set>
#include <string>

#include "model.h"

namespace sdpy {

// Takes the place of the engine's ModelLoader. The engine's own `load_tensors` reads on threads out of which no
// exception can come, converts whole tensors at once, and finds a missing tensor only after gigabytes were read. This one
// checks everything first, then streams: file to buffer in pieces, looking at the cancel flag between them.
class StreamingLoader : public ::ModelLoader {
   public:
    using ::ModelLoader::load_tensors;

    // Keeps tables of embeddings in eight bits where the engine would have them in float32: it looks rows up in a few types
    // only. A table of Q6_K in Qwen3-4B takes 0.4 GB so instead of 1.6. Not where SDCPP_PY_KERNELS is "off".
    void convert_tensors_name();

    // Throws LoadFailed (a tensor missing, of a wrong shape, or past the end of its file), Cancelled, OutOfMemory.
    bool load_tensors(std::map<std::string, ggml_tensor *> &tensors, std::set<std::string> ignored, int threads,
                      bool use_mmap);
};

}  // namespace sdpy
