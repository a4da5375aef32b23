// What the engine wants loaded, noted down instead of read: the engine makes its models without weights, and each part's
// weights come when its phase needs them (weights/part_weights.h).
#pragma once

#include <string>
#include <vector>

#include "ggml.h"
#include "model_io/tensor_storage.h"

namespace sdpy {

struct PlannedWeight {
    TensorStorage stored;  // where its bytes are in the file, and in which type
    ggml_tensor *tensor;   // the engine's own, without memory
    std::string file;
    std::string identity;  // of the file that was planned with (WeightFile::identity)
};

// As long as it lives, models that this thread makes get no memory for their weights, and the loader fills `weights`.
class LoadPlan {
   public:
    LoadPlan();
    ~LoadPlan();
    LoadPlan(const LoadPlan &) = delete;
    LoadPlan &operator=(const LoadPlan &) = delete;
    static LoadPlan *current();

    std::vector<PlannedWeight> weights;
    bool reads_pictures = false;  // the autoencoder's file has the half that encodes pictures
};

}  // namespace sdpy
