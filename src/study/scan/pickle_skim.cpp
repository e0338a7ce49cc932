// A first look without stack or memo: could an import be reached from here at all? Bytes that are no pickle mostly end
// this after an opcode or two, and the search tries very many places.
#include <algorithm>
#include <array>
#include <cstring>

#include "pickle.h"

namespace freehold::scan {
namespace {

// What follows an opcode: so many bytes; a line; two lines; a length of so many bytes and the text itself.
constexpr std::int8_t kNone = -1, kLine = -2, kTwoLines = -3, kText1 = -4, kText4 = -5, kText8 = -6;

constexpr std::array<std::int8_t, 256> make_table() {
    std::array<std::int8_t, 256> table{};
    for (auto& entry : table) entry = kNone;
    for (const char c : std::string_view("(.012NQR)ablot]}es0du")) table[static_cast<unsigned char>(c)] = 0;
    for (const char c : std::string_view("FILSVPpg")) table[static_cast<unsigned char>(c)] = kLine;
    for (const char c : std::string_view("ci")) table[static_cast<unsigned char>(c)] = kTwoLines;
    for (const char c : std::string_view("UC\x8a\x8c")) table[static_cast<unsigned char>(c)] = kText1;
    for (const char c : std::string_view("TXB\x8b")) table[static_cast<unsigned char>(c)] = kText4;
    for (const char c : std::string_view("\x8d\x8e\x96")) table[static_cast<unsigned char>(c)] = kText8;
    for (const char c : std::string_view("Khq\x80\x82")) table[static_cast<unsigned char>(c)] = 1;
    for (const char c : std::string_view("M\x83")) table[static_cast<unsigned char>(c)] = 2;
    for (const char c : std::string_view("Jjr\x84")) table[static_cast<unsigned char>(c)] = 4;
    for (const char c : std::string_view("G\x95")) table[static_cast<unsigned char>(c)] = 8;
    for (const char c : std::string_view("\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98"))
        table[static_cast<unsigned char>(c)] = 0;
    return table;
}

}  // namespace

bool could_import(Bytes bytes, std::uint64_t begin) noexcept {
    static constexpr auto kTable = make_table();
    const std::string_view text = text_of(bytes);
    std::uint64_t at = begin;
    for (int steps = 0; at < text.size(); ++steps) {
        if (steps > 4096) return true;
        const auto opcode = static_cast<unsigned char>(text[at++]);
        const std::int8_t kind = kTable[opcode];
        if (kind == kNone || opcode == '.') return false;
        if (opcode == 0x93) return steps > 0;
        if (opcode >= 0x82 && opcode <= 0x84 && steps > 0) return true;
        if (kind == kTwoLines) {
            const char first = at < text.size() ? text[at] : '\n';
            return (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z') || first == '_' ||
                   static_cast<unsigned char>(first) >= 0x80;
        }
        std::uint64_t length = kind > 0 ? static_cast<std::uint64_t>(kind) : 0;
        if (kind == kLine) {
            const void* end = std::memchr(text.data() + at, '\n', std::min<std::uint64_t>(text.size() - at, 1 << 16));
            if (end == nullptr) return text.size() - at > (1 << 16);
            at = static_cast<std::uint64_t>(static_cast<const char*>(end) - text.data()) + 1;
            continue;
        }
        if (kind <= kText1) {
            const std::uint64_t width = kind == kText1 ? 1 : kind == kText4 ? 4 : 8;
            if (text.size() - at < width) return false;
            for (std::uint64_t i = width; i-- > 0;) length = length << 8 | static_cast<unsigned char>(text[at + i]);
            at += width;
        }
        if (length > text.size() - at) return false;
        at += length;
    }
    return false;
}

}  // namespace freehold::scan
