// Failing on purpose, each time through the door that the real failure uses.
#pragma once

#include "base/sdpy.h"
#include "jobs/run.h"

namespace sdpy {

void cause_fault(sdpy_fault fault, Run &run);
// Lets the jobs of this process that SDPY_FAULT_DEAF goes on in hear again.
void end_deafness();
// The one that the run has, where it is due after as many steps as are finished.
void fail_if_due(Run &run, int finished_steps);

}  // namespace sdpy
