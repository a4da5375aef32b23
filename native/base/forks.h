// What a fork of the process copies, and what must be right in the copy.
#pragma once

#include <mutex>

namespace sdpy {

// A lock of the whole process. A fork copies it as it is at that moment, and not the thread that has it, which would be waited
// for without end. So whoever forks has it himself for that moment, and what it guards is whole in the copy. Where a thread
// keeps it for long, as in a GPU's driver, the copy gets a new one. Lives as long as the process.
class ForkedMutex {
   public:
    explicit ForkedMutex(std::mutex &mutex);
    ForkedMutex(const ForkedMutex &) = delete;
    ForkedMutex &operator=(const ForkedMutex &) = delete;
};

// Has the function called in the copy, where there is one thread and no lock is taken: to let go of what only threads of the
// first process can end.
void after_fork(void (*let_go)());

}  // namespace sdpy
