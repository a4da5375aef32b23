// Failing on purpose, each time through the door that the real failure uses.
#pragma once

#include "run.h"
#include "sdpy.h"

namespace sdpy {

void cause_fault(sdpy_fault fault, Run &run);

}  // namespace sdpy
