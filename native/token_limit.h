// A bound on the length of a prompt, found where the tokens are made and not guessed from characters.
#pragma once

#include <string>
#include <vector>

#include "errors.h"
#include "tokenizers/qwen2_tokenizer.h"

namespace sdpy {

// As long as it lives, the tokens that this thread makes are counted.
class TokenLimit {
   public:
    explicit TokenLimit(int limit) : limit_(limit) { current() = this; }
    ~TokenLimit() { current() = nullptr; }
    TokenLimit(const TokenLimit &) = delete;
    TokenLimit &operator=(const TokenLimit &) = delete;

    static void count(size_t tokens) {
        TokenLimit *limit = current();
        if (limit == nullptr || limit->limit_ <= 0) {
            return;
        }
        limit->counted_ += tokens;
        if (limit->counted_ > static_cast<size_t>(limit->limit_)) {
            throw BadSettings("the prompt is too long: with the model's own template it has more than " +
                              std::to_string(limit->limit_) + " tokens, which is what the model was trained to read");
        }
    }

   private:
    static TokenLimit *&current() {
        static thread_local TokenLimit *limit = nullptr;
        return limit;
    }

    int limit_;
    size_t counted_ = 0;
};

// Takes the place of the engine's tokenizer.
class LimitedTokenizer : public ::Qwen2Tokenizer {
   public:
    std::vector<int> encode(const std::string &text, on_new_token_cb_t on_new_token = nullptr) override {
        std::vector<int> tokens = ::Qwen2Tokenizer::encode(text, std::move(on_new_token));
        TokenLimit::count(tokens.size());
        return tokens;
    }
};

}  // namespace sdpy
