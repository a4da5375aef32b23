// Files of weights, read at any place from several threads.
#pragma once

#include <cstdint>
#include <string>

namespace sdpy {

class WeightFile {
   public:
    explicit WeightFile(const std::string &path);  // throws LoadFailed
    ~WeightFile();
    WeightFile(const WeightFile &) = delete;
    WeightFile &operator=(const WeightFile &) = delete;

    uint64_t size() const { return size_; }
    const std::string &path() const { return path_; }
    // What tells this file from one that takes its place under its name, and from itself after it was written to.
    const std::string &identity() const { return identity_; }
    void check_identity(const std::string &wanted) const;                 // throws LoadFailed
    void read(void *destination, uint64_t bytes, uint64_t offset) const;  // throws LoadFailed

   private:
    std::string path_, identity_;
    int descriptor_;
    uint64_t size_ = 0;
};

}  // namespace sdpy
