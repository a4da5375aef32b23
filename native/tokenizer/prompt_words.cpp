#include "tokenizer/prompt_words.h"

#include <algorithm>
#include <iterator>

#include "tokenizer/unicode_ranges.h"

namespace sdpy {

namespace {

struct Character {
    char32_t point;
    size_t begin, end;  // its bytes in the text
};

std::vector<Character> characters_of(const std::string &text) {
    std::vector<Character> characters;
    for (size_t place = 0; place < text.size();) {
        const auto first = static_cast<unsigned char>(text[place]);
        size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
        char32_t point = length == 1 ? first : first & (0x7F >> length);
        for (size_t i = 1; i < length; ++i) {
            const bool inside = place + i < text.size();
            const auto next = static_cast<unsigned char>(inside ? text[place + i] : 0);
            if ((next & 0xC0) != 0x80) {
                length = 1;
                point = first;
                break;
            }
            point = (point << 6) | (next & 0x3F);
        }
        characters.push_back({point, place, place + length});
        place += length;
    }
    return characters;
}

template <size_t count>
bool within(const CodePointRange (&ranges)[count], char32_t point) {
    const auto after =
        std::upper_bound(std::begin(ranges), std::end(ranges), point,
                         [](char32_t value, const CodePointRange &range) { return value < range.first; });
    return after != std::begin(ranges) && point <= std::prev(after)->last;
}

char32_t lower_of(char32_t point) {
    const auto after =
        std::upper_bound(std::begin(lower_case_ranges), std::end(lower_case_ranges), point,
                         [](char32_t value, const LowerCaseRange &range) { return value < range.first; });
    if (after == std::begin(lower_case_ranges)) {
        return point;
    }
    const LowerCaseRange &range = *std::prev(after);
    return point <= range.last && (point - range.first) % range.step == 0 ? point + range.distance : point;
}

void append(std::string &text, char32_t point) {
    if (point < 0x80) {
        text += static_cast<char>(point);
        return;
    }
    const int followers = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    text += static_cast<char>((0xFF00 >> (followers + 1) & 0xFF) | point >> 6 * followers);
    for (int i = followers - 1; i >= 0; --i) {
        text += static_cast<char>(0x80 | (point >> 6 * i & 0x3F));
    }
}

bool is_letter(char32_t point) { return within(letter_ranges, point); }
bool is_number(char32_t point) { return within(number_ranges, point); }
bool is_line_break(char32_t point) { return point == '\r' || point == '\n'; }

// Unicode's White_Space property.
bool is_space(char32_t point) {
    return (point >= 0x09 && point <= 0x0D) || point == 0x20 || point == 0x85 || point == 0xA0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 || point == 0x202F ||
           point == 0x205F || point == 0x3000;
}

bool is_other(char32_t point) { return !is_space(point) && !is_letter(point) && !is_number(point); }

class Cutter {
   public:
    explicit Cutter(const std::vector<Character> &characters) : characters_(characters) {}
    virtual ~Cutter() = default;

    // The words of the text, in order.
    std::vector<std::string> words(const std::string &text) const {
        std::vector<std::string> words;
        for (size_t place = 0; place < characters_.size();) {
            const size_t contraction = contraction_length(place);
            const size_t end = std::max(contraction > 0 ? place + contraction : word_end(place), place + 1);
            if (!left_out(characters_[place].point)) {
                words.push_back(
                    text.substr(characters_[place].begin, characters_[end - 1].end - characters_[place].begin));
            }
            place = end;
        }
        return words;
    }

   protected:
    // The end of the word that begins at `place`, which is no contraction: the first of the expression's other
    // alternatives that matches there.
    virtual size_t word_end(size_t place) const = 0;
    // Whether a character is in no word.
    virtual bool left_out(char32_t point) const = 0;
    // A character as contractions are compared.
    virtual char32_t folded(char32_t point) const = 0;

    static constexpr char32_t none = 0x0A;  // past the end: in no class but that of line breaks, which nothing asks for

    char32_t at(size_t place) const { return place < characters_.size() ? characters_[place].point : none; }
    size_t size() const { return characters_.size(); }

    size_t skip(size_t place, bool (*belongs)(char32_t)) const {
        while (place < characters_.size() && belongs(characters_[place].point)) {
            ++place;
        }
        return place;
    }

    // "'s", "'t", "'m", "'d", "'re", "'ve", "'ll"; 0 where there is none.
    size_t contraction_length(size_t place) const {
        if (at(place) != '\'') {
            return 0;
        }
        const char32_t one = folded(at(place + 1)), two = folded(at(place + 2));
        if (one == 's' || one == 't' || one == 'm' || one == 'd') {
            return 2;
        }
        return (one == 'r' && two == 'e') || (one == 'v' && two == 'e') || (one == 'l' && two == 'l') ? 3 : 0;
    }

   private:
    const std::vector<Character> &characters_;
};

class QwenCutter : public Cutter {
   public:
    using Cutter::Cutter;

   private:
    size_t word_end(size_t place) const override {
        const char32_t first = at(place);
        if (is_letter(first) || (!is_line_break(first) && !is_number(first) && is_letter(at(place + 1)))) {
            return skip(place + 1, is_letter);
        }
        if (is_number(first)) {
            return place + 1;
        }
        const size_t start = first == ' ' ? place + 1 : place;
        const size_t end = skip(start, is_other);
        return end > start ? skip(end, is_line_break) : space_end(place);
    }

    bool left_out(char32_t) const override { return false; }

    // In any case.
    char32_t folded(char32_t point) const override {
        // U+017F, the long s, is an s for a match that ignores case.
        return point >= 'A' && point <= 'Z' ? point + ('a' - 'A') : point == 0x17F ? U's' : point;
    }

    size_t space_end(size_t place) const {
        const size_t end = skip(place, is_space);
        for (size_t last = end; last > place; --last) {
            if (is_line_break(at(last - 1))) {
                return last;
            }
        }
        // The last space belongs to the word that follows.
        return end < size() && end - place > 1 ? end - 1 : end;
    }
};

// Of a text in lower case.
class ClipCutter : public Cutter {
   public:
    using Cutter::Cutter;

   private:
    size_t word_end(size_t place) const override {
        const char32_t first = at(place);
        return is_letter(first) ? skip(place, is_letter) : is_other(first) ? skip(place, is_other) : place + 1;
    }

    bool left_out(char32_t point) const override { return is_space(point); }
    char32_t folded(char32_t point) const override { return point; }
};

}  // namespace

std::vector<std::string> prompt_words(const std::string &text) {
    const std::vector<Character> characters = characters_of(text);
    return QwenCutter(characters).words(text);
}

std::vector<std::string> clip_words(const std::string &text) {
    const std::vector<Character> characters = characters_of(text);
    return ClipCutter(characters).words(text);
}

std::string lower_case(const std::string &text) {
    // The one character of which two become: U+0130, a capital I with a dot, is a small i and a dot above it.
    constexpr char32_t dotted_capital = 0x130, dot_above = 0x307;
    std::string lowered;
    lowered.reserve(text.size());
    for (const Character &character : characters_of(text)) {
        if (character.point == dotted_capital) {
            append(lowered, 'i');
            append(lowered, dot_above);
        } else if (const char32_t lower = lower_of(character.point); lower != character.point) {
            append(lowered, lower);
        } else {
            lowered.append(text, character.begin, character.end - character.begin);
        }
    }
    return lowered;
}

}  // namespace sdpy
