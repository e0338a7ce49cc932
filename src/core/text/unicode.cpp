// Unicode helpers of the tokenizers, on utf8proc's tables.
// Canonical ordering is done here and not by utf8proc, whose own is quadratic in a long run of combining marks.
#include "unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

namespace freehold::text {
namespace {

utf8proc_category_t category(char32_t code) noexcept {
    return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

// Below U+0300 every character is its own NFC form; its first byte is then below 0xCC.
bool surely_nfc(std::string_view text) noexcept {
    return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xCC; });
}

struct Range {
    char32_t first, last;
};
// Where Hugging Face's classes are newer or older than our tables (found by tests/oracle/tokenizers_live.py, which
// tries every character): numbers of Unicode 15 to 17, and punctuation that its tables of Unicode 8 do not have yet.
constexpr std::array<Range, 12> kNewerNumbers{{{0x10D40, 0x10D49},
                                               {0x116D0, 0x116E3},
                                               {0x11BF0, 0x11BF9},
                                               {0x11DE0, 0x11DE9},
                                               {0x11F50, 0x11F59},
                                               {0x16130, 0x16139},
                                               {0x16D70, 0x16D79},
                                               {0x16FF4, 0x16FF6},
                                               {0x1CCF0, 0x1CCF9},
                                               {0x1D2C0, 0x1D2D3},
                                               {0x1E4F0, 0x1E4F9},
                                               {0x1E5F1, 0x1E5FA}}};
constexpr std::array<Range, 32> kLaterPunctuation{
    {{0x061D, 0x061D},   {0x09FD, 0x09FD},   {0x0A76, 0x0A76},   {0x0C77, 0x0C77},   {0x0C84, 0x0C84},
     {0x1B4E, 0x1B4F},   {0x1B7D, 0x1B7F},   {0x2E43, 0x2E4F},   {0x2E52, 0x2E5D},   {0x10EAD, 0x10EAD},
     {0x10F55, 0x10F59}, {0x10F86, 0x10F89}, {0x1144B, 0x1144F}, {0x1145A, 0x1145B}, {0x1145D, 0x1145D},
     {0x11660, 0x1166C}, {0x116B9, 0x116B9}, {0x1183B, 0x1183B}, {0x11944, 0x11946}, {0x119E2, 0x119E2},
     {0x11A3F, 0x11A46}, {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09}, {0x11C41, 0x11C45},
     {0x11C70, 0x11C71}, {0x11EF7, 0x11EF8}, {0x11F43, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16E97, 0x16E9A},
     {0x16FE2, 0x16FE2}, {0x1E95E, 0x1E95F}}};

// Its normal forms and accents are of Unicode 9: characters that got a decomposition, an order among marks, or became
// marks later. A model has learnt what its maker's tokenizer did.
constexpr std::array<Range, 9> kLaterDecompositions{{{0x32FF, 0x32FF},
                                                     {0xA7F2, 0xA7F4},
                                                     {0xAB69, 0xAB69},
                                                     {0x10781, 0x10785},
                                                     {0x10787, 0x107B0},
                                                     {0x107B2, 0x107BA},
                                                     {0x11938, 0x11938},
                                                     {0x1F16C, 0x1F16C},
                                                     {0x1FBF0, 0x1FBF9}}};
constexpr std::array<Range, 32> kLaterOrders{
    {{0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
     {0xA82C, 0xA82C},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
     {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x1193D, 0x1193E},
     {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
     {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x16FF0, 0x16FF1}, {0x1E130, 0x1E136},
     {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}}};
constexpr std::array<Range, 64> kLaterMarks{
    {{0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xAFA, 0xAFF},
     {0xB55, 0xB55},     {0xC04, 0xC04},     {0xC3C, 0xC3C},     {0xD00, 0xD00},     {0xD3B, 0xD3C},
     {0xD81, 0xD81},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x180F, 0x180F},   {0x1ABF, 0x1ACE},
     {0x1CF7, 0x1CF7},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0xA8FF, 0xA8FF},   {0x10D24, 0x10D27},
     {0x10EAB, 0x10EAC}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x11073, 0x11074},
     {0x110C2, 0x110C2}, {0x11145, 0x11146}, {0x111C9, 0x111C9}, {0x111CE, 0x111CF}, {0x1133B, 0x1133B},
     {0x1145E, 0x1145E}, {0x1182C, 0x1183A}, {0x11930, 0x11935}, {0x11937, 0x11938}, {0x1193B, 0x1193E},
     {0x11940, 0x11940}, {0x11942, 0x11943}, {0x119D1, 0x119D7}, {0x119DA, 0x119E0}, {0x119E4, 0x119E4},
     {0x11A01, 0x11A0A}, {0x11A33, 0x11A39}, {0x11A3B, 0x11A3E}, {0x11A47, 0x11A47}, {0x11A51, 0x11A5B},
     {0x11A8A, 0x11A99}, {0x11D31, 0x11D36}, {0x11D3A, 0x11D3A}, {0x11D3C, 0x11D3D}, {0x11D3F, 0x11D45},
     {0x11D47, 0x11D47}, {0x11D8A, 0x11D8E}, {0x11D90, 0x11D91}, {0x11D93, 0x11D97}, {0x11EF3, 0x11EF6},
     {0x16F4F, 0x16F4F}, {0x16F7F, 0x16F87}, {0x16FE4, 0x16FE4}, {0x16FF0, 0x16FF1}, {0x1CF00, 0x1CF2D},
     {0x1CF30, 0x1CF46}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}}};

template <std::size_t N>
bool within(const std::array<Range, N>& ranges, char32_t code) noexcept {
    return std::any_of(ranges.begin(), ranges.end(), [&](Range r) { return code >= r.first && code <= r.last; });
}

bool is_ascii(std::string_view text) noexcept {
    return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

void decompose(char32_t code, bool compatible, std::vector<utf8proc_int32_t>& out) {
    utf8proc_int32_t buffer[32];
    int boundary = 0;
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), buffer, 32, options, &boundary);
    if (count <= 0 || count > 32 ||
        (count > 0 && buffer[0] != static_cast<utf8proc_int32_t>(code) && within(kLaterDecompositions, code))) {
        out.push_back(static_cast<utf8proc_int32_t>(code));
        return;
    }
    out.insert(out.end(), buffer, buffer + count);
}

void order_marks(std::vector<utf8proc_int32_t>& codes) {
    const auto mark_class = [](utf8proc_int32_t c) {
        const auto order = utf8proc_get_property(c)->combining_class;
        return order != 0 && within(kLaterOrders, static_cast<char32_t>(c)) ? decltype(order){0} : order;
    };
    std::size_t i = 0;
    while (i < codes.size()) {
        if (mark_class(codes[i]) == 0) {
            ++i;
            continue;
        }
        std::size_t end = i + 1;
        while (end < codes.size() && mark_class(codes[end]) != 0) ++end;
        std::stable_sort(codes.begin() + static_cast<std::ptrdiff_t>(i),
                         codes.begin() + static_cast<std::ptrdiff_t>(end),
                         [&](auto a, auto b) { return mark_class(a) < mark_class(b); });
        i = end;
    }
}

}  // namespace

Utf8Char utf8_at(std::string_view text, std::size_t at) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return {first, 1, true};
    std::uint32_t length = 0;
    unsigned char low = 0x80, high = 0xBF;
    char32_t code = 0;
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
        code = first & 0x1FU;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        code = first & 0x0FU;
        if (first == 0xE0) low = 0xA0;
        if (first == 0xED) high = 0x9F;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        code = first & 0x07U;
        if (first == 0xF0) low = 0x90;
        if (first == 0xF4) high = 0x8F;
    } else {
        return {first, 1, false};
    }
    if (length > text.size() - at) return {first, 1, false};
    for (std::uint32_t i = 1; i < length; ++i) {
        const unsigned char next = byte(i);
        if (next < low || next > high) return {first, 1, false};
        low = 0x80;
        high = 0xBF;
        code = (code << 6U) | (next & 0x3FU);
    }
    return {code, length, true};
}

void append_utf8(std::string& out, char32_t code) {
    const auto put = [&](char32_t c) { out.push_back(static_cast<char>(c)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0U | (code >> 6U));
        put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
        put(0xE0U | (code >> 12U));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    } else {
        put(0xF0U | (code >> 18U));
        put(0x80U | ((code >> 12U) & 0x3FU));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    }
}

bool is_utf8(std::string_view text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        if (static_cast<unsigned char>(text[at]) < 0x80) {
            ++at;
            continue;
        }
        const Utf8Char c = utf8_at(text, at);
        if (!c.valid) return false;
        at += c.length;
    }
    return true;
}

std::size_t unfinished_tail(std::string_view text) noexcept {
    // A character has at most four bytes, so only the last three positions can begin an unfinished one.
    const std::size_t from = text.size() > 3 ? text.size() - 3 : 0;
    for (std::size_t at = from; at < text.size(); ++at) {
        const auto first = static_cast<unsigned char>(text[at]);
        const std::size_t needed = first >= 0xF0 && first <= 0xF4 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 1;
        if (first < 0xC2 || first > 0xF4 || text.size() - at >= needed) continue;
        // Could the bytes that are there still become a character? Complete them with both extremes and see.
        for (const char filler : {'\x80', '\xBF'}) {
            std::string trial(text.substr(at));
            trial.resize(needed, filler);
            if (utf8_at(trial, 0).valid) return at;
        }
    }
    return text.size();
}

std::string repair_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_at(text, at);
        if (c.valid) {
            out.append(text.substr(at, c.length));
            at += c.length;
            continue;
        }
        append_utf8(out, 0xFFFD);
        // The maximal part: as many bytes as could begin a character.
        std::size_t length = 1;
        while (length < 3 && at + length < text.size() && unfinished_tail(text.substr(at, length + 1)) == 0) {
            ++length;
        }
        at += length;
    }
    return out;
}

std::string normal_form(std::string_view text, NormalForm form) {
    const bool compose = form == NormalForm::nfc || form == NormalForm::nfkc;
    const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
    if (is_ascii(text) || (form == NormalForm::nfc && surely_nfc(text))) return std::string(text);
    std::vector<utf8proc_int32_t> codes;
    codes.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_at(text, at);
        if (c.code < 0x80) {
            codes.push_back(static_cast<utf8proc_int32_t>(c.code));
        } else {
            decompose(c.code, compatible, codes);
        }
        at += c.length;
    }
    order_marks(codes);
    if (compose) {
        const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        const auto count = utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()), options);
        if (count >= 0) codes.resize(static_cast<std::size_t>(count));
    }
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    for (const auto c : codes) append_utf8(out, static_cast<char32_t>(c));
    return out;
}

std::string lower_case(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_at(text, at);
        at += c.length;
        if (c.code == 0x130) {
            // The one character whose lower case is two: i with a dot above.
            out += "i\xCC\x87";
        } else {
            append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code))));
        }
    }
    return out;
}

bool is_white_space(char32_t c) noexcept {
    if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_numeric(char32_t c) noexcept {
    if (c < 0x80) return c >= '0' && c <= '9';
    const auto k = category(c);
    if (k == UTF8PROC_CATEGORY_CN) return within(kNewerNumbers, c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) noexcept {
    if (c < 0x80) {
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    }
    const auto k = category(c);
    if (c == 0x166D || c == 0x111C9) return true;  // were punctuation once
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO && !within(kLaterPunctuation, c);
}

bool is_mark(char32_t c) noexcept {
    if (c < 0x300) return false;
    const auto k = category(c);
    return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME && !within(kLaterMarks, c);
}

bool is_nonspacing_mark(char32_t c) noexcept {
    return c >= 0x300 && category(c) == UTF8PROC_CATEGORY_MN && !within(kLaterMarks, c);
}

bool is_control(char32_t c) noexcept {
    if (c < 0x80) return c < 0x20 || c == 0x7F;
    const auto k = category(c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CS ||
           k == UTF8PROC_CATEGORY_CO;
}

bool is_word(char32_t c) noexcept {
    if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    const auto k = category(c);
    if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ND) return true;  // L*, M*, Nd stand together
    if (k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC) return true;
    if (c == 0x200C || c == 0x200D) return true;
    // Other_Alphabetic outside the marks: circled and squared Latin letters.
    return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
           (c >= 0x1F170 && c <= 0x1F189);
}

bool is_ideograph(char32_t c) noexcept {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

}  // namespace freehold::text
