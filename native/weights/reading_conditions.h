// Slow disks and faults of reading on purpose, each at the place where the real one shows: the answer of pread.
#pragma once

#include <cstdint>

#include <sys/types.h>

#include "base/sdpy_parts.h"

namespace sdpy {

// From now on, for all files of the process; reads are counted anew.
void arrange_reading(const sdpy_reading_conditions &conditions);

// Whether blocks are read ahead.
bool reads_ahead();
uint64_t reads_made();  // since they were arranged

// pread, as the conditions have it.
ssize_t pread_as_arranged(int descriptor, void *destination, uint64_t bytes, uint64_t offset);

}  // namespace sdpy
