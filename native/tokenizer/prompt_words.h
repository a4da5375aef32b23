// Cutting a prompt into the words that Qwen's tokenizer encodes one by one.
#pragma once

#include <string>
#include <vector>

namespace sdpy {

// The words of a UTF-8 text, in order; together they are the text. The rule is the regular expression in the
// `tokenizer.json` of the Qwen2 and Qwen3 models:
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// Bytes that are no UTF-8 are taken one at a time.
std::vector<std::string> prompt_words(const std::string &text);

}  // namespace sdpy
