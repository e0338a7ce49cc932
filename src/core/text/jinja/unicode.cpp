// UTF-8 and character classes. utf8proc gives categories and simple case; unicode_tables.h has what it leaves out.
#include "unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "unicode_tables.h"

namespace freehold::jinja {
namespace {

bool is_ascii(std::string_view text) noexcept {
    return std::none_of(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; });
}

// Length of the well-formed character at pos, 1 for a byte that starts none.
std::size_t point_length(std::string_view text, std::size_t pos) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(pos);
    const std::size_t want = lead < 0x80                   ? 1
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                             : lead >= 0xE0                ? 3
                             : lead >= 0xC2                ? 2
                                                           : 0;
    if (want <= 1 || lead >= 0xF5 || text.size() - pos < want) return 1;
    for (std::size_t i = 1; i < want; ++i) {
        if ((byte(pos + i) & 0xC0U) != 0x80U) return 1;
    }
    if ((lead == 0xE0 && byte(pos + 1) < 0xA0) || (lead == 0xF0 && byte(pos + 1) < 0x90) ||
        (lead == 0xF4 && byte(pos + 1) > 0x8F)) {
        return 1;
    }
    return want;
}

utf8proc_category_t category(char32_t code) noexcept {
    return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

template <std::size_t N>
bool in_ranges(const std::array<CodeRange, N>& ranges, char32_t code) noexcept {
    const auto it = std::upper_bound(ranges.begin(), ranges.end(), code,
                                     [](char32_t c, const CodeRange& r) { return c < r.first; });
    return it != ranges.begin() && code <= std::prev(it)->last;
}

template <std::size_t N>
const SpecialCase* find_special(const std::array<SpecialCase, N>& table, char32_t code) noexcept {
    const auto it =
        std::lower_bound(table.begin(), table.end(), code, [](const SpecialCase& s, char32_t c) { return s.code < c; });
    return it != table.end() && it->code == code ? &*it : nullptr;
}

void append_special(std::string& out, const SpecialCase& special) {
    for (const char32_t c : special.text) {
        if (c != 0) append_utf8(out, c);
    }
}

char32_t map_code(utf8proc_int32_t (*fn)(utf8proc_int32_t), char32_t code) noexcept {
    return static_cast<char32_t>(fn(static_cast<utf8proc_int32_t>(code)));
}

void append_upper(std::string& out, char32_t code) {
    if (const SpecialCase* special = find_special(kSpecialUpper, code)) return append_special(out, *special);
    append_utf8(out, map_code(utf8proc_toupper, code));
}

void append_title(std::string& out, char32_t code) {
    if (const SpecialCase* special = find_special(kSpecialTitle, code)) return append_special(out, *special);
    append_utf8(out, map_code(utf8proc_totitle, code));
}

bool is_cased(char32_t code) noexcept {
    return is_lower(code) || is_upper(code) || is_title(code);
}

bool is_case_ignorable(char32_t code) noexcept {
    switch (category(code)) {
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_ME:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_SK:
            return true;
        default:
            break;
    }
    return code == '\'' || code == '.' || code == ':' || code == 0xB7 || code == 0x387 || code == 0x55F ||
           code == 0x5F4 || code == 0x2018 || code == 0x2019 || code == 0x2024 || code == 0x2027 || code == 0xFE13 ||
           code == 0xFE52 || code == 0xFE55 || code == 0xFF07 || code == 0xFF0E || code == 0xFF1A;
}

// Capital sigma is final when a cased letter stands before it and none after it (marks between are looked through).
bool final_sigma(std::string_view text, std::size_t start, std::size_t end) noexcept {
    bool before = false;
    for (std::size_t at = start; at > 0;) {
        at = previous_point(text, at);
        std::size_t pos = at;
        const char32_t code = decode_at(text, pos);
        if (is_case_ignorable(code)) continue;
        before = is_cased(code);
        break;
    }
    if (!before) return false;
    for (std::size_t pos = end; pos < text.size();) {
        const char32_t code = decode_at(text, pos);
        if (is_case_ignorable(code)) continue;
        return !is_cased(code);
    }
    return true;
}

void append_lower(std::string& out, std::string_view text, std::size_t start, std::size_t end, char32_t code) {
    if (code == 0x130) {
        append_utf8(out, 'i');
        append_utf8(out, 0x307);
    } else if (code == 0x3A3) {
        append_utf8(out, final_sigma(text, start, end) ? 0x3C2 : 0x3C3);
    } else {
        append_utf8(out, map_code(utf8proc_tolower, code));
    }
}

// Calls each(start, end, code) for every character; invalid bytes are copied to `out` as they are.
template <class F>
void for_each_point(std::string_view text, std::string& out, F&& each) {
    for (std::size_t pos = 0; pos < text.size();) {
        const std::size_t start = pos;
        const char32_t code = decode_at(text, pos);
        if (pos - start == 1 && (static_cast<unsigned char>(text[start]) & 0x80U) != 0) {
            out += text[start];
        } else {
            each(start, pos, code);
        }
    }
}

}  // namespace

char32_t decode_at(std::string_view text, std::size_t& pos) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
    const std::size_t length = point_length(text, pos);
    const char32_t lead = byte(pos);
    char32_t code = 0xFFFD;
    if (length == 1) {
        if (lead < 0x80) code = lead;
    } else if (length == 2) {
        code = (lead & 0x1FU) << 6U | (byte(pos + 1) & 0x3FU);
    } else if (length == 3) {
        code = (lead & 0x0FU) << 12U | (byte(pos + 1) & 0x3FU) << 6U | (byte(pos + 2) & 0x3FU);
    } else {
        code = (lead & 0x07U) << 18U | (byte(pos + 1) & 0x3FU) << 12U | (byte(pos + 2) & 0x3FU) << 6U |
               (byte(pos + 3) & 0x3FU);
    }
    pos += length;
    return code;
}

void append_utf8(std::string& out, char32_t code) {
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += static_cast<char>(0xC0U | (code >> 6U));
        out += static_cast<char>(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
        out += static_cast<char>(0xE0U | (code >> 12U));
        out += static_cast<char>(0x80U | ((code >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (code & 0x3FU));
    } else {
        out += static_cast<char>(0xF0U | (code >> 18U));
        out += static_cast<char>(0x80U | ((code >> 12U) & 0x3FU));
        out += static_cast<char>(0x80U | ((code >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (code & 0x3FU));
    }
}

std::size_t count_points(std::string_view text) noexcept {
    if (is_ascii(text)) return text.size();
    std::size_t n = 0;
    for (std::size_t pos = 0; pos < text.size(); pos += point_length(text, pos)) ++n;
    return n;
}

std::size_t point_offset(std::string_view text, std::size_t index) noexcept {
    std::size_t pos = 0;
    for (; index > 0 && pos < text.size(); --index) pos += point_length(text, pos);
    return pos;
}

std::size_t previous_point(std::string_view text, std::size_t end) noexcept {
    for (std::size_t back = 1; back <= 4 && back <= end; ++back) {
        if ((static_cast<unsigned char>(text[end - back]) & 0xC0U) != 0x80U) {
            return point_length(text, end - back) == back ? end - back : end - 1;
        }
    }
    return end - 1;
}

bool is_space(char32_t c) noexcept {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(char32_t c) noexcept {
    return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool is_alpha(char32_t code) noexcept {
    switch (category(code)) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_LO:
            return true;
        default:
            return false;
    }
}

bool is_decimal(char32_t code) noexcept {
    return category(code) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t code) noexcept {
    return is_decimal(code) || in_ranges(kDigitNotDecimal, code);
}

bool is_numeric(char32_t code) noexcept {
    const auto cat = category(code);
    return cat == UTF8PROC_CATEGORY_ND || cat == UTF8PROC_CATEGORY_NL || cat == UTF8PROC_CATEGORY_NO ||
           in_ranges(kNumericNotNumber, code);
}

bool is_alnum(char32_t code) noexcept {
    return is_alpha(code) || is_numeric(code);
}
bool is_lower(char32_t code) noexcept {
    return category(code) == UTF8PROC_CATEGORY_LL || in_ranges(kLowerNotLl, code);
}
bool is_upper(char32_t code) noexcept {
    return category(code) == UTF8PROC_CATEGORY_LU || in_ranges(kUpperNotLu, code);
}
bool is_title(char32_t code) noexcept {
    return category(code) == UTF8PROC_CATEGORY_LT;
}

bool is_printable(char32_t code) noexcept {
    if (code < 0x7F) return code >= 0x20;
    switch (category(code)) {
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CS:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_CN:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
        case UTF8PROC_CATEGORY_ZS:
            return false;
        default:
            return true;
    }
}

bool is_identifier_start(char32_t code) noexcept {
    return code == '_' || is_alpha(code) || category(code) == UTF8PROC_CATEGORY_NL;
}

bool is_identifier_part(char32_t code) noexcept {
    if (is_identifier_start(code)) return true;
    switch (category(code)) {
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_MC:
        case UTF8PROC_CATEGORY_ND:
        case UTF8PROC_CATEGORY_PC:
            return true;
        default:
            return code == 0xB7 || code == 0x387;
    }
}

std::string to_upper(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    if (is_ascii(text)) {
        for (const char c : text) out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        return out;
    }
    for_each_point(text, out, [&](std::size_t, std::size_t, char32_t code) { append_upper(out, code); });
    return out;
}

std::string to_lower(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    if (is_ascii(text)) {
        for (const char c : text) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        return out;
    }
    for_each_point(text, out, [&](std::size_t start, std::size_t end, char32_t code) {
        append_lower(out, text, start, end, code);
    });
    return out;
}

std::string to_title(std::string_view text) {
    std::string out;
    bool in_word = false;
    for_each_point(text, out, [&](std::size_t start, std::size_t end, char32_t code) {
        if (in_word) {
            append_lower(out, text, start, end, code);
        } else {
            append_title(out, code);
        }
        in_word = is_cased(code);
    });
    return out;
}

std::string to_capital(std::string_view text) {
    std::string out;
    for_each_point(text, out, [&](std::size_t start, std::size_t end, char32_t code) {
        if (start == 0) {
            append_title(out, code);
        } else {
            append_lower(out, text, start, end, code);
        }
    });
    return out;
}

std::string swap_case(std::string_view text) {
    std::string out;
    for_each_point(text, out, [&](std::size_t start, std::size_t end, char32_t code) {
        if (is_upper(code)) {
            append_lower(out, text, start, end, code);
        } else if (is_lower(code)) {
            append_upper(out, code);
        } else {
            append_utf8(out, code);
        }
    });
    return out;
}

std::string case_fold(std::string_view text) {
    std::string out;
    for_each_point(text, out, [&](std::size_t, std::size_t, char32_t code) {
        std::array<utf8proc_int32_t, 8> folded{};
        int boundary = 0;
        const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), folded.data(), folded.size(),
                                               UTF8PROC_CASEFOLD, &boundary);
        if (n <= 0 || n > static_cast<utf8proc_ssize_t>(folded.size())) {
            append_utf8(out, code);
            return;
        }
        for (utf8proc_ssize_t i = 0; i < n; ++i)
            append_utf8(out, static_cast<char32_t>(folded[static_cast<std::size_t>(i)]));
    });
    return out;
}

std::string_view strip(std::string_view text, const std::string_view* chars, bool left, bool right) {
    std::u32string set;
    if (chars != nullptr) {
        for (std::size_t pos = 0; pos < chars->size();) set += decode_at(*chars, pos);
        std::sort(set.begin(), set.end());
    }
    const auto drop = [&](char32_t code) {
        return chars == nullptr ? is_space(code) : std::binary_search(set.begin(), set.end(), code);
    };
    std::size_t begin = 0;
    while (left && begin < text.size()) {
        std::size_t pos = begin;
        if (!drop(decode_at(text, pos))) break;
        begin = pos;
    }
    std::size_t end = text.size();
    while (right && end > begin) {
        const std::size_t start = previous_point(text, end);
        std::size_t pos = start;
        if (!drop(decode_at(text, pos))) break;
        end = start;
    }
    return text.substr(begin, end - begin);
}

bool is_lower_text(std::string_view text) noexcept {
    bool cased = false;
    for (std::size_t pos = 0; pos < text.size();) {
        const char32_t code = decode_at(text, pos);
        if (is_upper(code) || is_title(code)) return false;
        cased = cased || is_lower(code);
    }
    return cased;
}

bool is_upper_text(std::string_view text) noexcept {
    bool cased = false;
    for (std::size_t pos = 0; pos < text.size();) {
        const char32_t code = decode_at(text, pos);
        if (is_lower(code) || is_title(code)) return false;
        cased = cased || is_upper(code);
    }
    return cased;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
    std::vector<std::string_view> lines;
    std::size_t begin = 0;
    for (std::size_t pos = 0; pos < text.size();) {
        const std::size_t start = pos;
        const char32_t code = decode_at(text, pos);
        if (!is_line_break(code)) continue;
        if (code == '\r' && pos < text.size() && text[pos] == '\n') ++pos;
        lines.push_back(text.substr(begin, (keep_ends ? pos : start) - begin));
        begin = pos;
    }
    if (begin < text.size()) lines.push_back(text.substr(begin));
    return lines;
}

}  // namespace freehold::jinja
