// Failing on purpose, each time through the door that the real failure uses.
#pragma once

#include "jobs/run.h"
#include "base/sdpy.h"

namespace sdpy {

void cause_fault(sdpy_fault fault, Run &run);

}  // namespace sdpy
