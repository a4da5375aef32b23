// Weights in memory, once per process: who wants the same tensors of the same file on the same device gets the same bytes,
// and so does a CPU where a GPU has them in the process's memory. Processes that have memory in common have those of a CPU
// there, once for all of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weights/weight_batch.h"

namespace sdpy {

class Run;

// Where a job of reading stands, for progress: several files may be read one after the other.
struct ReadingProgress {
    Run *run;
    uint64_t before, total;
};

// Brings weights of one identity (one file's, or of the same several files) to their place, unless they are there already, and returns what keeps them there.
// One reader at a time for each file and device: who comes second waits, and then finds what the first one read.
// `progress` goes on by what was read. Throws LoadFailed (the file is no longer the one that was planned with, too), OutOfMemory, Cancelled.
WeightBatches share_weights(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights, int threads,
                            ReadingProgress &progress);

// Bytes of the file that `share_weights` would have to read.
uint64_t bytes_to_read(const WeightPlace &place, const std::vector<const PlannedWeight *> &weights);

// Weights on a lost device are nobody's to find any more.
void forget_weights_on(const std::string &device);

// Files, each on one device, of which something is in memory or being looked for.
size_t shelf_count();

}  // namespace sdpy
