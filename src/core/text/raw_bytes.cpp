// Masking of bytes that are no UTF-8, and back.
#include "raw_bytes.h"

#include <vector>

#include "unicode.h"

namespace freehold::text {
namespace {

constexpr char32_t kFirst = 0x100000, kBlocks = 0xFF80 / kRawCount;  // the private-use plane 16

}  // namespace

Masked mask_raw_bytes(std::string_view text) {
    std::vector<bool> used(kBlocks, false);
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_at(text, at);
        if (c.valid && c.code >= kFirst && c.code < kFirst + kBlocks * kRawCount)
            used[(c.code - kFirst) / kRawCount] = true;
        at += c.length;
    }
    char32_t block = 0;
    while (block + 1 < kBlocks && used[block]) ++block;
    Masked out;
    out.raw_base = kFirst + block * kRawCount;
    out.text.reserve(text.size() + text.size() / 2);
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_at(text, at);
        append_utf8(out.text, c.valid ? c.code : out.raw_base + (c.code - 0x80));
        at += c.length;
    }
    return out;
}

std::string with_raw_bytes(std::string_view text, char32_t raw_base) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_at(text, at);
        const int byte = raw_byte(c.code, raw_base);
        if (byte >= 0) {
            out.push_back(static_cast<char>(byte));
        } else {
            out.append(text.substr(at, c.length));
        }
        at += c.length;
    }
    return out;
}

}  // namespace freehold::text
