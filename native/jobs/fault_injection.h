// Failing on purpose, each time through the door that the real failure uses.
#pragma once

#include "base/sdpy.h"
#include "jobs/run.h"

namespace sdpy {

void cause_fault(sdpy_fault fault, Run &run);

}  // namespace sdpy
