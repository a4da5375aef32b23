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

    // Throws LoadFailed (a tensor missing, of a wrong shape, or past the end of its file), Cancelled, OutOfMemory.
    bool load_tensors(std::map<std::string, ggml_tensor *> &tensors, std::set<std::string> ignored, int threads,
                      bool use_mmap);
};

}  // namespace sdpy
