// UTF-8 by its definition, and text made fit for messages.
#include "freehold/base/printable.h"

namespace freehold {

std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const unsigned c = byte(0);
    if (c < 0x80) return 1;
    if (c >= 0xC2 && c <= 0xDF) return tail(1) ? 2 : 0;
    if (c >= 0xE0 && c <= 0xEF) {
        if (!tail(1) || !tail(2)) return 0;
        if ((c == 0xE0 && byte(1) < 0xA0) || (c == 0xED && byte(1) > 0x9F)) return 0;
        return 3;
    }
    if (c >= 0xF0 && c <= 0xF4) {
        if (!tail(1) || !tail(2) || !tail(3)) return 0;
        if ((c == 0xF0 && byte(1) < 0x90) || (c == 0xF4 && byte(1) > 0x8F)) return 0;
        return 4;
    }
    return 0;
}

std::size_t utf8_broken_part(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const unsigned c = byte(0);
    const std::size_t wants =
        c >= 0xC2 && c <= 0xDF ? 1U : (c >= 0xE0 && c <= 0xEF ? 2U : (c >= 0xF0 && c <= 0xF4 ? 3U : 0U));
    std::size_t n = 1;
    for (; n <= wants && n < text.size(); ++n) {
        unsigned low = 0x80, high = 0xBF;
        if (n == 1) {
            if (c == 0xE0) low = 0xA0;
            if (c == 0xED) high = 0x9F;
            if (c == 0xF0) low = 0x90;
            if (c == 0xF4) high = 0x8F;
        }
        if (byte(n) < low || byte(n) > high) break;
    }
    return n;
}

std::string valid_utf8(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t n = utf8_length(text.substr(at));
        if (n > 0) {
            out.append(text, at, n);
            at += n;
        } else {
            out += "\xEF\xBF\xBD";
            at += utf8_broken_part(text.substr(at));
        }
    }
    return out;
}

namespace {

// Characters that a reader does not see and that change what is read: marks and overrides of direction, line and
// paragraph separators, the byte order mark (Unicode TR36).
bool misleads(std::string_view three) noexcept {
    if (three.size() < 3) return false;
    const unsigned code = (static_cast<unsigned char>(three[0]) & 0x0FU) << 12U |
                          (static_cast<unsigned char>(three[1]) & 0x3FU) << 6U |
                          (static_cast<unsigned char>(three[2]) & 0x3FU);
    return code == 0x200E || code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
    std::string out;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t n = utf8_length(text.substr(at));
        if (at + (n == 0 ? 1 : n) > max_bytes) return out + "...";
        const auto c = static_cast<unsigned char>(text[at]);
        const bool c1 = c == 0xC2 && n == 2 && static_cast<unsigned char>(text[at + 1]) < 0xA0;
        if (n == 0 || c < 0x20 || c == 0x7F || c1 || (n == 3 && misleads(text.substr(at, 3)))) {
            out += '?';
        } else {
            out.append(text, at, n);
        }
        at += n == 0 ? 1 : n;
    }
    return out;
}

}  // namespace freehold
