// Our tokenizer in the place of the engine's.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "errors.h"
#include "prompt_words.h"
#include "tokenizers/qwen2_tokenizer.h"

namespace sdpy {

// As long as it lives, the tokens that this thread makes are counted: a bound on the length of a prompt, found where the
// tokens are made and not guessed from characters.
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

// The engine's own way of cutting text into words differs from the models' and, for characters of the higher planes,
// reads outside of a table and ends the process; its merging of bytes is right and is kept.
class PromptTokenizer : public ::Qwen2Tokenizer {
   public:
    std::vector<int> encode(const std::string &text, on_new_token_cb_t on_new_token = nullptr) override {
        // The engine encodes the template's head, the prompt and the template's tail one after the other. The head ends
        // with a line break, which in the whole text would be of one word with line breaks at the prompt's beginning.
        std::string whole = held_back_ + text;
        held_back_.clear();
        const std::string head = "user\n";
        if (whole.size() >= head.size() && whole.compare(whole.size() - head.size(), head.size(), head) == 0) {
            held_back_ = "\n";
            whole.pop_back();
        }
        std::vector<int> tokens = ::Qwen2Tokenizer::encode(whole, std::move(on_new_token));
        TokenLimit::count(tokens.size());
        return tokens;
    }

   protected:
    std::vector<std::string> token_split(const std::string &text) const override { return prompt_words(text); }

   private:
    std::string held_back_;
};

// The engine reads brackets in a prompt as weights of words. The models were trained on brackets as text (FLUX.2 reads
// JSON), and their reference pipelines weigh nothing.
inline std::vector<std::pair<std::string, float>> whole_prompt(const std::string &text) { return {{text, 1.0f}}; }

}  // namespace sdpy
