// What the denoiser gave in a picture's steps, in a file without a name that the caller has too: it is still there when this
// process, or its device, is not.
#pragma once

#include <cstdint>

namespace sdpy {

class KeptSteps {
   public:
    // Has a copy of the descriptor. Throws GenerationFailed where the system gives none.
    explicit KeptSteps(int file);
    ~KeptSteps();
    KeptSteps(const KeptSteps &) = delete;
    KeptSteps &operator=(const KeptSteps &) = delete;

    // Looks at what the file has, of results of so many numbers each. What is of another size counts as nothing.
    void begin(int64_t numbers);
    // How many results there are, and how many steps are finished with them.
    int64_t results() const { return header_.results; }
    int64_t steps() const { return header_.steps; }
    // Returns false where it cannot be read.
    bool read(int64_t index, float *numbers) const;
    // Adds a result, with which so many steps are finished. Nothing is added where there is no room; nor after that, since
    // results without those before them are of no use.
    void add(const float *numbers, int64_t steps);

   private:
    // At the file's begin, in this machine's order of bytes (pipeline/kept_steps.py reads it too). Written after the results
    // that it counts, so that a process may end at any time.
    struct Header {
        int64_t results, steps, numbers;
    };

    int file_;
    Header header_{};
    bool full_ = false;
};

}  // namespace sdpy
