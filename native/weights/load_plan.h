// What the engine wants loaded, noted down instead of read: the engine makes its models without weights, and each part's
// weights come when its phase needs them (weights/part_weights.h).
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "ggml.h"
#include "weights/stored_rows.h"

namespace sdpy {

struct PlannedWeight {
    TensorStorage stored;          // name, extents and type of the whole
    ggml_tensor *tensor;           // the engine's own, without memory
    std::string identity;          // of the file with its numbers, or of all files with some of them
    std::vector<StoredRows> rows;  // where they are, one after the other

    uint64_t bytes_to_read() const {
        return std::accumulate(rows.begin(), rows.end(), uint64_t{0}, [](uint64_t sum, const StoredRows &some) {
            return sum + static_cast<uint64_t>(some.stored.nbytes_to_read());
        });
    }
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
