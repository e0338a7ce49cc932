// Bytes to visible characters and back.
#include "byte_characters.h"

#include "unicode.h"

namespace freehold::text {

void append_byte_characters(std::string& out, std::string_view bytes) {
    for (const char b : bytes) append_utf8(out, kByteCharacters[static_cast<unsigned char>(b)]);
}

std::string bytes_of_characters(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_at(text, at);
        if (!c.valid || c.code >= kByteCharacterEnd || kCharacterBytes[c.code] < 0) return std::string(text);
        out.push_back(static_cast<char>(kCharacterBytes[c.code]));
        at += c.length;
    }
    return out;
}

}  // namespace freehold::text
