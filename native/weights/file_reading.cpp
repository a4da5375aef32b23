#include "weights/file_reading.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/errors.h"
#include "weights/reading_conditions.h"

namespace sdpy {

WeightFile::WeightFile(const std::string &path) : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat status{};
    if (descriptor_ < 0 || fstat(descriptor_, &status) != 0) {
        const std::string reason = std::strerror(errno);
        if (descriptor_ >= 0) {
            close(descriptor_);
        }
        throw LoadFailed("cannot open " + path + ": " + reason);
    }
    size_ = static_cast<uint64_t>(status.st_size);
    for (const int64_t number : {static_cast<int64_t>(status.st_dev), static_cast<int64_t>(status.st_ino),
                                 static_cast<int64_t>(status.st_size), static_cast<int64_t>(status.st_mtim.tv_sec),
                                 static_cast<int64_t>(status.st_mtim.tv_nsec)}) {
        identity_ += std::to_string(number) + ":";
    }
}

void WeightFile::check_identity(const std::string &wanted) const {
    if (identity_ != wanted) {
        throw LoadFailed(path_ + " has changed since it was opened; open the model again");
    }
}

WeightFile::~WeightFile() {
    if (descriptor_ >= 0) {
        close(descriptor_);
    }
}

void WeightFile::read(void *destination, uint64_t bytes, uint64_t offset) const {
    auto *out = static_cast<char *>(destination);
    while (bytes > 0) {
        const ssize_t got = pread_as_arranged(descriptor_, out, bytes, offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            throw LoadFailed("reading " + path_ + " failed" +
                             (got == 0 ? ": the file ended early" : std::string(": ") + std::strerror(errno)));
        }
        out += got;
        offset += static_cast<uint64_t>(got);
        bytes -= static_cast<uint64_t>(got);
    }
}

}  // namespace sdpy
