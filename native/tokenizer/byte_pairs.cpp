#include "tokenizer/byte_pairs.h"

#include <algorithm>
#include <queue>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace sdpy {

namespace {

// FNV-1a, with its bits mixed once more for tables that look at the lowest ones.
constexpr uint64_t hash_begin = 0xcbf29ce484222325u;

uint64_t hash(const char *text, size_t size, uint64_t state = hash_begin) {
    for (size_t i = 0; i < size; ++i) {
        state = (state ^ static_cast<unsigned char>(text[i])) * 0x100000001b3u;
    }
    return state;
}

size_t slot_of(uint64_t value, size_t slots) { return (value ^ value >> 29) * 0x9e3779b97f4a7c15u >> 20 & (slots - 1); }

size_t slots_for(size_t entries) {
    size_t slots = 1024;
    while (slots < 2 * entries) {
        slots *= 2;
    }
    return slots;
}

// GPT-2 writes a byte as the character of that number where that is printable, and as one from 256 on where it is not.
std::string character(int number) {
    return number < 128 ? std::string(1, static_cast<char>(number))
                        : std::string{static_cast<char>(0xc0 | number >> 6), static_cast<char>(0x80 | (number & 0x3f))};
}

// All bytes in the alphabet's order, each with the character that it is written as.
std::vector<std::pair<int, std::string>> alphabet() {
    const auto printable = [](int byte) {
        return (byte >= '!' && byte <= '~') || (byte >= 161 && byte <= 172) || byte >= 174;
    };
    std::vector<std::pair<int, std::string>> all;
    for (int byte = 0; byte < 256; ++byte) {
        if (printable(byte)) {
            all.emplace_back(byte, character(byte));
        }
    }
    int next = 256;
    for (int byte = 0; byte < 256; ++byte) {
        if (!printable(byte)) {
            all.emplace_back(byte, character(next++));
        }
    }
    return all;
}

// Numbers of tokens by the hashes of their texts. The texts are not kept: 151 thousand of them share no hash of 64 bits,
// and the vocabularies are part of the program, so that tests of all of them show that.
class Numbers {
   public:
    explicit Numbers(size_t count) : entries_(slots_for(count)) {}

    void add(uint64_t text, int number) { find(text) = {text, number}; }

    int operator[](uint64_t text) {
        const Entry &entry = find(text);
        if (entry.number < 0) {
            throw std::logic_error("a merge of a token that is not in the vocabulary");
        }
        return entry.number;
    }

   private:
    struct Entry {
        uint64_t text = 0;
        int number = -1;
    };

    Entry &find(uint64_t text) {
        size_t slot = slot_of(text, entries_.size());
        while (entries_[slot].number >= 0 && entries_[slot].text != text) {
            slot = (slot + 1) & (entries_.size() - 1);
        }
        return entries_[slot];
    }

    std::vector<Entry> entries_;
};

uint64_t pair_hash(int left, int right) {
    return hash_begin ^ static_cast<uint64_t>(left) << 32 ^ static_cast<uint64_t>(right);
}

}  // namespace

BytePairs::BytePairs(const std::string &merges, const std::string &word_end) {
    const size_t count = std::count(merges.begin(), merges.end(), '\n') + 513;
    pairs_.resize(slots_for(count));
    Numbers numbers(count);
    int next = 0;
    for (const auto &[byte, text] : alphabet()) {
        byte_tokens_[byte] = next;
        numbers.add(hash(text.data(), text.size()), next++);
    }
    if (!word_end.empty()) {
        last_offset_ = next;
        for (const auto &[byte, text] : alphabet()) {
            const std::string last = text + word_end;
            numbers.add(hash(last.data(), last.size()), next++);
        }
    }
    const std::string heading = "#version:";
    size_t begin = merges.compare(0, heading.size(), heading) == 0 ? merges.find('\n') + 1 : 0;
    for (size_t end; (end = merges.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const size_t space = merges.find(' ', begin);
        const char *right = merges.data() + space + 1;
        const uint64_t left = hash(merges.data() + begin, space - begin);
        const int first = numbers[left], second = numbers[hash(right, end - space - 1)];
        pairs_[slot(first, second)] = {first, second, next};
        numbers.add(hash(right, end - space - 1, left), next++);
    }
}

size_t BytePairs::slot(int left, int right) const {
    size_t slot = slot_of(pair_hash(left, right), pairs_.size());
    while (pairs_[slot].merged != none && (pairs_[slot].left != left || pairs_[slot].right != right)) {
        slot = (slot + 1) & (pairs_.size() - 1);
    }
    return slot;
}

std::vector<int> BytePairs::tokens(const std::string &word) const {
    // The parts that are left form a list; of all merges of two neighbours the one of the lowest rank, and of those the
    // leftmost, comes next. A merge's number grows with its rank. Candidates whose parts have changed are passed over.
    const int size = static_cast<int>(word.size());
    std::vector<int> token(size), after(size), before(size);
    using Candidate = std::tuple<int, int, int, int>;  // merged, the left part's place, left, right
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
    const auto consider = [&](int at) {
        if (at >= 0 && after[at] < size) {
            const int both = pairs_[slot(token[at], token[after[at]])].merged;
            if (both != none) {
                candidates.emplace(both, at, token[at], token[after[at]]);
            }
        }
    };
    for (int i = 0; i < size; ++i) {
        token[i] = byte_tokens_[static_cast<unsigned char>(word[i])];
        after[i] = i + 1;
        before[i] = i - 1;
    }
    if (size > 0) {
        token[size - 1] += last_offset_;
    }
    for (int i = 0; i < size; ++i) {
        consider(i);
    }
    while (!candidates.empty()) {
        const auto [both, at, left, right] = candidates.top();
        candidates.pop();
        if (token[at] != left || after[at] >= size || token[after[at]] != right) {
            continue;
        }
        const int gone = after[at];
        token[at] = both;
        token[gone] = none;
        after[at] = after[gone];
        if (after[at] < size) {
            before[after[at]] = at;
        }
        consider(at);
        consider(before[at]);
    }
    std::vector<int> result;
    for (int i = 0; i < size; i = after[i]) {
        result.push_back(token[i]);
    }
    return result;
}

}  // namespace sdpy
