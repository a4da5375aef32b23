// Cutting a prompt into the words that a tokenizer encodes one by one.
#pragma once

#include <string>
#include <vector>

namespace sdpy {

// The words of a UTF-8 text, in order; together they are the text. The rule is the regular expression in the
// `tokenizer.json` of the Qwen2 and Qwen3 models:
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// Bytes that are no UTF-8 are taken one at a time.
std::vector<std::string> prompt_words(const std::string &text);

// The words of a text in lower case, without the white space between them. The rule is the regular expression of CLIP:
//   's|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+
std::vector<std::string> clip_words(const std::string &text);

// A UTF-8 text with each character in lower case, in every alphabet. Characters do not look at their neighbours: a sigma at
// the end of a word is one like any other, as the models were trained to read it.
std::string lower_case(const std::string &text);

}  // namespace sdpy
