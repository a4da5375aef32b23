// The files that some weights are read from, each opened once.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "weights/file_reading.h"
#include "weights/load_plan.h"

namespace sdpy {

class WeightFiles {
   public:
    // Throws LoadFailed: a file cannot be opened, or is no longer the one that was planned with.
    void open(const PlannedWeight &weight) {
        for (const StoredRows &rows : weight.rows) {
            std::unique_ptr<WeightFile> &file = files_[rows.file];
            if (file == nullptr) {
                file = std::make_unique<WeightFile>(rows.file);
                file->check_identity(rows.identity);
            }
        }
    }
    // One that `open` has opened.
    const WeightFile &of(const StoredRows &rows) const { return *files_.at(rows.file); }

   private:
    std::map<std::string, std::unique_ptr<WeightFile>> files_;
};

}  // namespace sdpy
