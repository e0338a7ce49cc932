// Text from files and requests on its way into a message: no control characters that could play with a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace freehold {

// Valid UTF-8 without control characters (C0, DEL, C1), at most `max_bytes` of the text with "..." for the rest; what
// is not allowed becomes '?'.
// Bytes of the broken character at the beginning of `text`: as many as could begin one, at least 1. One U+FFFD stands
// for them (Unicode, "substitution of maximal subparts"), as in Rust, Python and browsers.
[[nodiscard]] std::size_t utf8_broken_part(std::string_view text) noexcept;
// The text with U+FFFD for every broken part.
[[nodiscard]] std::string valid_utf8(std::string_view text);
[[nodiscard]] std::string printable(std::string_view text, std::size_t max_bytes = 200);

// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none (overlong forms and surrogates are
// invalid).
[[nodiscard]] std::size_t utf8_length(std::string_view text) noexcept;

}  // namespace freehold
