// Our tokenizers in the place of the engine's.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "tokenizer/byte_pairs.h"
#include "tokenizer/prompt_words.h"
#include "tokenizer/remembered_tokens.h"
#include "tokenizers/qwen2_tokenizer.h"
#include "tokenizers/t5_unigram_tokenizer.h"
#include "tokenizers/tokenize_util.h"
#include "tokenizers/tokenizer.h"
#include "tokenizers/vocab/vocab.h"

namespace sdpy {

// One encoding of a prompt, on the thread that does it: all that is known of the prompt's tokens between two calls of a
// tokenizer. Tokenizers themselves outlive a prompt that is refused, cancelled or failed in the middle, so they keep nothing
// of where it was.
class PromptEncoding {
   public:
    // `limit`: of tokens, found where they are made and not guessed from characters; 0 for none.
    explicit PromptEncoding(int limit) : limit_(limit) { current() = this; }
    ~PromptEncoding() { current() = nullptr; }
    PromptEncoding(const PromptEncoding &) = delete;
    PromptEncoding &operator=(const PromptEncoding &) = delete;

    // The encoding that this thread does now, or null.
    static PromptEncoding *&current() {
        static thread_local PromptEncoding *encoding = nullptr;
        return encoding;
    }

    // Tokens so far, pads not among them, which is as many as attention has to look at; 0 when nobody counts.
    static size_t counted() { return current() == nullptr ? 0 : current()->counted_; }

    // What is to be read now, of a text that comes in pieces. The engine encodes the template's head, the prompt and the
    // template's tail one after the other. The head ends with a line break, which in the whole text would be of one word
    // with line breaks at the prompt's beginning: it is held back until the next piece.
    std::string joined(const std::string &piece) {
        const std::string head = "user\n";
        std::string text = held_back_ + piece;
        held_back_.clear();
        if (text.size() >= head.size() && text.compare(text.size() - head.size(), head.size(), head) == 0) {
            held_back_ = "\n";
            text.pop_back();
        }
        return text;
    }

    void count(size_t tokens) {
        counted_ += tokens;
        if (limit_ > 0 && counted_ > static_cast<size_t>(limit_)) {
            throw BadSettings("the prompt is too long: with the model's own template it has more than " +
                              std::to_string(limit_) + " tokens, which is what the model was trained to read");
        }
    }

   private:
    int limit_;
    size_t counted_ = 0;
    std::string held_back_;
};

// The engine's own way of cutting text into words differs from the models' and, for characters of the higher planes,
// reads outside of a table and ends the process; its vocabulary takes longer to set up than a small picture to draw.
class PromptTokenizer : public ::Qwen2Tokenizer {
   public:
    // The base keeps the special tokens; given an empty list of merges, it does not build the maps of its own.
    PromptTokenizer() : ::Qwen2Tokenizer("\n"), pairs_(load_qwen2_merges()) {}

    std::vector<int> encode(const std::string &text, on_new_token_cb_t = nullptr) override {
        PromptEncoding *encoding = PromptEncoding::current();
        const auto read = [this](const std::string &piece) { return tokens(piece); };
        if (encoding == nullptr) {
            return remembered_.of(text, read);
        }
        std::vector<int> of_piece = remembered_.of(encoding->joined(text), read);
        encoding->count(of_piece.size());
        return of_piece;
    }

    // The tokens of a whole text. From several threads at once.
    std::vector<int> tokens(const std::string &text) const {
        std::vector<int> tokens;
        for (const std::string &part : split_with_special_tokens(text, special_tokens)) {
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
        return tokens;
    }

   private:
    BytePairs pairs_;
    RememberedTokens remembered_;
};

// The engine lowers the letters of ASCII alone and takes all bytes outside of it for punctuation, so that a word is cut at
// an accent; its merges of a long word take time with the square of its length. Prompts come in NFC (base/sdpy.h).
class ClipTokenizer : public ::Tokenizer {
   public:
    explicit ClipTokenizer(int pad_token_id = 49407) : pairs_(load_clip_merges(), "</w>") {
        BOS_TOKEN = "<|startoftext|>";
        UNK_TOKEN = EOS_TOKEN = PAD_TOKEN = "<|endoftext|>";
        BOS_TOKEN_ID = 49406;
        UNK_TOKEN_ID = EOS_TOKEN_ID = 49407;
        PAD_TOKEN_ID = pad_token_id;
        add_bos_token = add_eos_token = true;
        special_tokens = {BOS_TOKEN, EOS_TOKEN};
    }

    std::vector<int> encode(const std::string &text, on_new_token_cb_t = nullptr) override {
        return remembered_.of(text, [this](const std::string &whole) { return tokens(whole); });
    }

    // The tokens of a text, without those of its beginning and its end. From several threads at once.
    std::vector<int> tokens(const std::string &text) const {
        std::vector<int> tokens;
        for (const std::string &part : split_with_special_tokens(lower_case(text), special_tokens)) {
            if (part == BOS_TOKEN || part == EOS_TOKEN) {
                tokens.push_back(part == BOS_TOKEN ? BOS_TOKEN_ID : EOS_TOKEN_ID);
                continue;
            }
            for (const std::string &word : clip_words(part)) {
                const std::vector<int> of_word = pairs_.tokens(word);
                tokens.insert(tokens.end(), of_word.begin(), of_word.end());
            }
        }
        return tokens;
    }

   private:
    // The engine asks for it where a prompt has a word that stands for a person's pictures, which is not offered here.
    std::string decode_token(int) const override { throw std::logic_error("tokens are not turned back into text"); }

    BytePairs pairs_;
    RememberedTokens remembered_;
};

// The engine's own, which is T5's.
class T5Tokenizer : public ::T5UniGramTokenizer {
   public:
    using ::T5UniGramTokenizer::T5UniGramTokenizer;

    std::vector<int> encode(const std::string &text, on_new_token_cb_t = nullptr) override {
        return remembered_.of(text, [this](const std::string &whole) { return ::T5UniGramTokenizer::encode(whole); });
    }

   private:
    RememberedTokens remembered_;
};

// The engine reads brackets in a prompt as weights of words. The models were trained on brackets as text (FLUX.2 reads
// JSON), and their reference pipelines weigh nothing.
inline std::vector<std::pair<std::string, float>> whole_prompt(const std::string &text) { return {{text, 1.0f}}; }

}  // namespace sdpy
