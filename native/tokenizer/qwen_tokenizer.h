// Our tokenizer in the place of the engine's.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/byte_pairs.h"
#include "base/errors.h"
#include "tokenizer/prompt_words.h"
#include "tokenizers/qwen2_tokenizer.h"
#include "tokenizers/tokenize_util.h"
#include "tokenizers/vocab/vocab.h"

namespace sdpy {

// As long as it lives, the tokens that this thread makes are counted: a bound on the length of a prompt, found where the
// tokens are made and not guessed from characters, and the number of tokens that attention has to look at.
class PromptLength {
   public:
    explicit PromptLength(int limit) : limit_(limit) { current() = this; }
    ~PromptLength() { current() = nullptr; }
    PromptLength(const PromptLength &) = delete;
    PromptLength &operator=(const PromptLength &) = delete;

    static void count(size_t tokens) {
        PromptLength *length = current();
        if (length == nullptr) {
            return;
        }
        length->counted_ += tokens;
        if (length->limit_ > 0 && length->counted_ > static_cast<size_t>(length->limit_)) {
            throw BadSettings("the prompt is too long: with the model's own template it has more than " +
                              std::to_string(length->limit_) + " tokens, which is what the model was trained to read");
        }
    }

    // Tokens so far, pads not among them; 0 when nobody counts.
    static size_t counted() { return current() == nullptr ? 0 : current()->counted_; }

   private:
    static PromptLength *&current() {
        static thread_local PromptLength *length = nullptr;
        return length;
    }

    int limit_;
    size_t counted_ = 0;
};

// The engine's own way of cutting text into words differs from the models' and, for characters of the higher planes,
// reads outside of a table and ends the process; its vocabulary takes longer to set up than a small picture to draw.
class PromptTokenizer : public ::Qwen2Tokenizer {
   public:
    // The base keeps the special tokens; given an empty list of merges, it does not build the maps of its own.
    PromptTokenizer() : ::Qwen2Tokenizer("\n"), pairs_(load_qwen2_merges()) {}

    std::vector<int> encode(const std::string &text, on_new_token_cb_t = nullptr) override {
        // The engine encodes the template's head, the prompt and the template's tail one after the other. The head ends
        // with a line break, which in the whole text would be of one word with line breaks at the prompt's beginning.
        std::string whole = held_back_ + text;
        held_back_.clear();
        const std::string head = "user\n";
        if (whole.size() >= head.size() && whole.compare(whole.size() - head.size(), head.size(), head) == 0) {
            held_back_ = "\n";
            whole.pop_back();
        }
        std::vector<int> tokens;
        for (const std::string &part : split_with_special_tokens(whole, special_tokens)) {
            const auto special = std::find(special_tokens.begin(), special_tokens.end(), part);
            if (special != special_tokens.end()) {
                tokens.push_back(PAD_TOKEN_ID + static_cast<int>(special - special_tokens.begin()));
                continue;
            }
            for (const std::string &word : prompt_words(part)) {
                const std::vector<int> of_word = pairs_.tokens(word);
                tokens.insert(tokens.end(), of_word.begin(), of_word.end());
            }
        }
        PromptLength::count(tokens.size());
        return tokens;
    }

   private:
    BytePairs pairs_;
    std::string held_back_;
};

// The engine reads brackets in a prompt as weights of words. The models were trained on brackets as text (FLUX.2 reads
// JSON), and their reference pipelines weigh nothing.
inline std::vector<std::pair<std::string, float>> whole_prompt(const std::string &text) { return {{text, 1.0f}}; }

}  // namespace sdpy
