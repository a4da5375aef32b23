// What a tokenizer has just read.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace sdpy {

// The texts that were turned into tokens in this process, by any tokenizer. For tests.
inline std::atomic<int> &texts_read() {
    static std::atomic<int> count{0};
    return count;
}

// The tokens of the texts that came last. A prompt is asked for several times: each encoder is measured, the states are
// counted, and then it is encoded. Tokens depend on their text alone, so what was read for one of these serves the others,
// and also where a prompt came to nothing in between. For the thread of one engine.
class RememberedTokens {
   public:
    template <typename Read>
    std::vector<int> of(const std::string &text, Read &&read) {
        for (const auto &[known, tokens] : latest_) {
            if (known == text) {
                return tokens;
            }
        }
        std::vector<int> tokens = read(text);
        texts_read().fetch_add(1, std::memory_order_relaxed);
        latest_.emplace_back(text, tokens);
        if (latest_.size() > most) {
            latest_.pop_front();
        }
        return tokens;
    }

   private:
    // A prompt and a negative prompt, each between the head and the tail of a template, and the pair before them.
    static constexpr size_t most = 8;
    std::deque<std::pair<std::string, std::vector<int>>> latest_;
};

}  // namespace sdpy
