// Characters for the template interpreter: UTF-8 in and out, and case and classes as Python's str sees them.
// Bytes that are not UTF-8 count as one character each and pass through unchanged.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::jinja {

// The character at `pos`, which moves past it; an invalid byte gives U+FFFD and moves by one.
[[nodiscard]] char32_t decode_at(std::string_view text, std::size_t& pos) noexcept;
void append_utf8(std::string& out, char32_t code);
// Number of characters.
[[nodiscard]] std::size_t count_points(std::string_view text) noexcept;
// Byte offset of character `index` (at most the size of the text).
[[nodiscard]] std::size_t point_offset(std::string_view text, std::size_t index) noexcept;
// Start of the character that ends at `end` (> 0).
[[nodiscard]] std::size_t previous_point(std::string_view text, std::size_t end) noexcept;

[[nodiscard]] bool is_space(char32_t code) noexcept;
[[nodiscard]] bool is_line_break(char32_t code) noexcept;  // as str.splitlines
[[nodiscard]] bool is_alpha(char32_t code) noexcept;
[[nodiscard]] bool is_decimal(char32_t code) noexcept;
[[nodiscard]] bool is_digit(char32_t code) noexcept;
[[nodiscard]] bool is_numeric(char32_t code) noexcept;
[[nodiscard]] bool is_alnum(char32_t code) noexcept;
[[nodiscard]] bool is_lower(char32_t code) noexcept;
[[nodiscard]] bool is_upper(char32_t code) noexcept;
[[nodiscard]] bool is_title(char32_t code) noexcept;
[[nodiscard]] bool is_printable(char32_t code) noexcept;
[[nodiscard]] bool is_identifier_start(char32_t code) noexcept;
[[nodiscard]] bool is_identifier_part(char32_t code) noexcept;

[[nodiscard]] std::string to_upper(std::string_view text);
[[nodiscard]] std::string to_lower(std::string_view text);
[[nodiscard]] std::string to_title(std::string_view text);    // str.title: every run of letters
[[nodiscard]] std::string to_capital(std::string_view text);  // str.capitalize
[[nodiscard]] std::string swap_case(std::string_view text);
[[nodiscard]] std::string case_fold(std::string_view text);

// Without the leading and trailing characters that are in `chars` (white space when chars is null).
[[nodiscard]] std::string_view strip(std::string_view text, const std::string_view* chars, bool left, bool right);

// str.islower, str.isupper: at least one cased character and none of the other case.
[[nodiscard]] bool is_lower_text(std::string_view text) noexcept;
[[nodiscard]] bool is_upper_text(std::string_view text) noexcept;
// str.splitlines.
[[nodiscard]] std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

}  // namespace freehold::jinja
