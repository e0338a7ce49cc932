// The alphabet of byte-level vocabularies: each byte has one visible character (a space is U+0120, for example).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace freehold::text {

// Visible Latin-1 bytes stand for themselves; the others follow from U+0100 on, in order.
[[nodiscard]] constexpr std::array<char32_t, 256> byte_characters() noexcept {
    std::array<char32_t, 256> table{};
    char32_t next = 0x100;
    for (std::uint32_t b = 0; b < 256; ++b) {
        const bool visible = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        table[b] = visible ? static_cast<char32_t>(b) : next++;
    }
    return table;
}
inline constexpr std::array<char32_t, 256> kByteCharacters = byte_characters();
inline constexpr char32_t kByteCharacterEnd = 0x144;  // one past the last character of the alphabet

// The byte of a character, or -1 if it is none of the alphabet.
[[nodiscard]] constexpr std::array<std::int16_t, kByteCharacterEnd> character_bytes() noexcept {
    std::array<std::int16_t, kByteCharacterEnd> table{};
    for (auto& entry : table) entry = -1;
    for (std::uint32_t b = 0; b < 256; ++b) table[kByteCharacters[b]] = static_cast<std::int16_t>(b);
    return table;
}
inline constexpr std::array<std::int16_t, kByteCharacterEnd> kCharacterBytes = character_bytes();

void append_byte_characters(std::string& out, std::string_view bytes);
// The bytes that a token's text stands for; the text itself if a character is none of the alphabet.
[[nodiscard]] std::string bytes_of_characters(std::string_view text);

}  // namespace freehold::text
