// What the system grants.
#pragma once

namespace sdpy {

// Starts so many threads and ends them again. Throws BadSettings where the system refuses one (a container's limit of
// processes, or of address space): later, OpenMP would end the process over it.
void check_threads(int threads);

}  // namespace sdpy
