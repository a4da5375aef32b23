// Byte pair encoding: words to the numbers of their tokens.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sdpy {

// The engine keeps its vocabulary of 151 thousand tokens as maps of strings, whose building takes as long as drawing a small
// picture and some sixty megabytes. What encoding needs is which two tokens merge into which one: a table of numbers.
class BytePairs {
   public:
    // `merges`: one merge a line, in the order of their ranks, as two tokens and a space between them, bytes written as
    // GPT-2 writes them (each as a printable character); a first line that says the format's version is none. Tokens are numbered as
    // in the Qwen and CLIP models: first the bytes in that alphabet's order, then, where words have one, the same bytes
    // with the mark of a word's end behind them, then the merges.
    explicit BytePairs(const std::string &merges, const std::string &word_end = "");

    // The tokens of a word of any bytes. Takes time in proportion to n log n.
    std::vector<int> tokens(const std::string &word) const;

   private:
    static constexpr int none = -1;

    // Where the table has the merge of two tokens, or has room for it.
    size_t slot(int left, int right) const;

    struct Entry {
        int left = none, right = none, merged = none;
    };

    int byte_tokens_[256];
    int last_offset_ = 0;       // from a byte's token to that of the same byte at the end of a word
    std::vector<Entry> pairs_;  // open addressing, a power of two
};

}  // namespace sdpy
