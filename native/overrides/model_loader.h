// From what the engine knows of its files to a plan of what is to be read.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model.h"
#include "weights/arranged_files.h"

namespace sdpy {

class WeightFile;

// Takes the place of the engine's ModelLoader. The engine's own `load_tensors` reads on threads out of which no
// exception can come, converts whole tensors at once, and finds a missing tensor only after gigabytes were read. This one
// checks everything and reads nothing: it fills the thread's LoadPlan.
class PlanningLoader : public ::ModelLoader {
   public:
    using ::ModelLoader::load_tensors;

    // Gives the tensors of a file the names that the engine looks for, where the file has them as another program wrote
    // them: a part that keeps the names it had in a checkpoint, or a checkpoint in ComfyUI's names. What a checkpoint has of a
    // part is forgotten when another file brings it. The tensors of a path that is arranged (weights/arranged_files.h) are
    // those that its arrangement says.
    bool init_from_file(const std::string &path, const std::string &prefix = "");

    // Keeps tables of embeddings in eight bits where the engine would have them in float32: it looks rows up in a few types
    // only. A table of Q6_K in Qwen3-4B takes 0.4 GB so instead of 1.6. Not where our kernels are switched off.
    void convert_tensors_name();

    // Throws LoadFailed: a tensor is missing, of a wrong shape or type, or past the end of its file.
    bool load_tensors(std::map<std::string, ggml_tensor *> &tensors, std::set<std::string> ignored, int threads,
                      bool use_mmap);

   private:
    void take_arranged(const std::string &text, const std::string &prefix);
    // Where the numbers of a tensor of the map are, with the identity of the files that they are in.
    ArrangedTensor stored_rows(const TensorStorage &stored,
                               const std::vector<std::unique_ptr<WeightFile>> &files) const;

    std::vector<ArrangedTensor> arranged_;  // a tensor's storage_key says which one it is; "": of a plain file
};

}  // namespace sdpy
