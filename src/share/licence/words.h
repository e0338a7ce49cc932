// A licence text as the words that carry its meaning, each with its place in the file: what SPDX's matching guidelines
// call normalisation. Hostile input: any bytes are taken, memory is bounded by the length of the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::licence {

struct Word {
    std::string text;         // lower case, quotes and hyphens gone, one spelling of the words that SPDX holds equal
    std::uint32_t begin = 0;  // bytes in the source
    std::uint32_t end = 0;
    std::uint32_t line = 1;  // from 1
    bool marker = false;     // the number or letter of a list item or heading: "(b)", "1.", "iv)"
    bool notice = false;     // part of a copyright line
    bool url = false;        // an address; its text is always "<url>"
    bool starts_line = false;
    bool hidden = false;  // not seen by who reads the rendered text, or crossed out (hidden.h)
};

// Longest text that is read as a licence; larger files are no licence texts.
inline constexpr std::size_t kMaxText = 4U << 20;

// Blanks, line breaks, case, punctuation, quotes, hyphens, comment signs, Markdown and HTML marks are gone; list marks
// and copyright lines stay, flagged.
[[nodiscard]] std::vector<Word> split_words(std::string_view text);

// Why these bytes are not a text (binary, too large), or an empty string. A byte order mark of UTF-16 is named.
[[nodiscard]] std::string not_a_text(std::string_view bytes);

// The spelling that stands for a word and those that SPDX holds equal to it; `word` is lower case.
[[nodiscard]] std::string_view one_spelling(std::string_view word) noexcept;

}  // namespace freehold::licence
