#include "jobs/kept_steps.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/errors.h"

namespace sdpy {

namespace {

constexpr int64_t first_result = 64;
// Of all results together. 1024x1024 pixels take at most 2 MiB in a step.
constexpr int64_t most_bytes = int64_t{256} << 20;

// Whether all bytes went one way or the other; `some` is pread or pwrite, which may move fewer.
template <typename Byte, typename Some>
bool all_moved(Some some, int file, Byte *rest, int64_t bytes, int64_t at) {
    while (bytes > 0) {
        const ssize_t done = some(file, rest, static_cast<size_t>(bytes), at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        rest += done;
        at += done;
        bytes -= done;
    }
    return true;
}

bool write_at(int file, const void *data, int64_t bytes, int64_t at) {
    return all_moved(pwrite, file, static_cast<const char *>(data), bytes, at);
}

bool read_at(int file, void *data, int64_t bytes, int64_t at) {
    return all_moved(pread, file, static_cast<char *>(data), bytes, at);
}

int64_t bytes_of(int64_t numbers) { return numbers * static_cast<int64_t>(sizeof(float)); }

}  // namespace

KeptSteps::KeptSteps(int file) : file_(fcntl(file, F_DUPFD_CLOEXEC, 3)) {
    if (file_ < 0) {
        throw GenerationFailed("the file for finished steps cannot be used");
    }
}

KeptSteps::~KeptSteps() { close(file_); }

void KeptSteps::begin(int64_t numbers) {
    full_ = false;
    const bool there = read_at(file_, &header_, sizeof header_, 0);
    struct stat found{};
    const bool fits = there && fstat(file_, &found) == 0 && header_.numbers == numbers && header_.results > 0 &&
                      header_.steps >= 0 && header_.results <= most_bytes / bytes_of(numbers) &&
                      found.st_size >= first_result + header_.results * bytes_of(numbers);
    if (!fits) {
        header_ = {0, 0, numbers};
    }
}

bool KeptSteps::read(int64_t index, float *numbers) const {
    const int64_t bytes = bytes_of(header_.numbers);
    return read_at(file_, numbers, bytes, first_result + index * bytes);
}

void KeptSteps::add(const float *numbers, int64_t steps) {
    const int64_t bytes = bytes_of(header_.numbers), at = header_.results * bytes;
    Header next = {header_.results + 1, steps, header_.numbers};
    full_ = full_ || at + bytes > most_bytes || !write_at(file_, numbers, bytes, first_result + at) ||
            !write_at(file_, &next, sizeof next, 0);
    if (!full_) {
        header_ = next;
    }
}

}  // namespace sdpy
