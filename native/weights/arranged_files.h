// Models whose files the engine would not read as they are: several files for one part, tensors that are to be laid together
// or have scales beside them. Python has read their headers and says which tensor lies where; this is read here.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "weights/stored_rows.h"

namespace sdpy {

// A tensor as the engine is to see it, and where its numbers are.
struct ArrangedTensor {
    TensorStorage whole;  // without the file's index
    std::string identity;
    std::vector<StoredRows> rows;
};

// What is written of one model is records with 0x1e between them, of fields with 0x1f between them:
//   F path                                    a file; files are numbered from 0 on
//   T name type axes n0 n1 n2 n3              a tensor, extents as ggml has them
//   R file offset type n0 n1 n2 n3            rows of the tensor before it, in order
//   S file offset type rows columns count-of-rows count-of-columns    scales of the rows before it: so many, each for so many
// Throws LoadFailed: a file cannot be opened or is too short, a scale is no number, or the text is none of ours.
std::vector<ArrangedTensor> read_arrangement(const std::string &text);

// As long as it lives, the loader finds the models of this thread that are arranged, by the paths that it is given.
class ArrangedFiles {
   public:
    explicit ArrangedFiles(std::map<std::string, std::string> texts);
    ~ArrangedFiles();
    ArrangedFiles(const ArrangedFiles &) = delete;
    ArrangedFiles &operator=(const ArrangedFiles &) = delete;

    // What is written of the model with this path; null where it is a plain file.
    static const std::string *find(const std::string &path);

   private:
    std::map<std::string, std::string> texts_;
};

}  // namespace sdpy
