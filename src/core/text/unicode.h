// Unicode as tokenizers need it: UTF-8 that may be broken, normal forms, lower case, and the classes that makers use.
// Everything here is linear in its input, whatever the input is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace freehold::text {

// One character at text[at]. `valid` is false for a byte that begins no character; then length is 1 and code the byte.
struct Utf8Char {
    char32_t code;
    std::uint32_t length;
    bool valid;
};
[[nodiscard]] Utf8Char utf8_at(std::string_view text, std::size_t at) noexcept;
void append_utf8(std::string& out, char32_t code);
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
// Where a trailing, still unfinished character begins; text.size() if there is none.
[[nodiscard]] std::size_t unfinished_tail(std::string_view text) noexcept;
// Replaces every maximal broken part by U+FFFD, as the Unicode standard recommends.
[[nodiscard]] std::string repair_utf8(std::string_view text);

enum class NormalForm : std::uint8_t { nfc, nfd, nfkc, nfkd };
[[nodiscard]] std::string normal_form(std::string_view text, NormalForm form);
[[nodiscard]] std::string lower_case(std::string_view text);  // each character for itself, no context

[[nodiscard]] bool is_white_space(char32_t code) noexcept;      // the property White_Space
[[nodiscard]] bool is_numeric(char32_t code) noexcept;          // general category N*
[[nodiscard]] bool is_punctuation(char32_t code) noexcept;      // general category P*, or ASCII punctuation
[[nodiscard]] bool is_mark(char32_t code) noexcept;             // general category M*
[[nodiscard]] bool is_nonspacing_mark(char32_t code) noexcept;  // general category Mn
[[nodiscard]] bool is_control(char32_t code) noexcept;          // general category C* but unassigned
[[nodiscard]] bool is_word(char32_t code) noexcept;             // letters, marks, decimal digits, connectors, joiners
[[nodiscard]] bool is_ideograph(char32_t code) noexcept;        // the CJK blocks that BERT sets apart

}  // namespace freehold::text
