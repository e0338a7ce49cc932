// Numbers to text and back as Python does it: repr of floats, int() and float() of strings, round().
#include "numbers.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "unicode.h"

namespace freehold::jinja {

std::string float_repr(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    std::array<char, 64> buffer{};
    const auto result =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
    const std::string text(buffer.data(), result.ptr);
    // d.ddde+XX: the digits and the exponent, to be laid out as repr() does.
    const std::size_t e = text.find('e');
    const int exponent = static_cast<int>(std::strtol(text.c_str() + e + 1, nullptr, 10));
    std::string digits;
    for (const char c : text.substr(0, e)) {
        if (c >= '0' && c <= '9') digits += c;
    }
    std::string out = text[0] == '-' ? "-" : "";
    const int n = static_cast<int>(digits.size());
    if (exponent < -4 || exponent >= 16) {
        out += digits[0];
        if (n > 1) out += '.' + digits.substr(1);
        out += exponent < 0 ? "e-" : "e+";
        const int size = std::abs(exponent);
        if (size < 10) out += '0';
        return out + std::to_string(size);
    }
    if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
    if (exponent + 1 >= n) return out + digits + std::string(static_cast<std::size_t>(exponent + 1 - n), '0') + ".0";
    return out + digits.substr(0, static_cast<std::size_t>(exponent) + 1) + "." +
           digits.substr(static_cast<std::size_t>(exponent) + 1);
}

std::optional<std::int64_t> parse_int(std::string_view text, int base) {
    if (base != 0 && (base < 2 || base > 36)) fail("int() base must be >= 2 and <= 36, or 0");
    text = strip(text, nullptr, true, true);
    bool negative = false;
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
        negative = text[0] == '-';
        text.remove_prefix(1);
    }
    bool zero_only = false;
    bool prefixed = false;
    if (text.size() >= 2 && text[0] == '0') {
        const char kind = static_cast<char>(text[1] | 0x20);
        const int wanted = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
        if (wanted != 0 && (base == 0 || base == wanted)) {
            base = wanted;
            text.remove_prefix(2);
            prefixed = true;
        } else if (base == 0) {
            zero_only = true;
        }
    }
    if (base == 0) base = 10;
    if (text.empty()) return std::nullopt;
    std::uint64_t value = 0;
    bool overflow = false;
    bool digit_before = prefixed;  // 0x_1f is a number
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '_') {
            if (!digit_before || i + 1 == text.size()) return std::nullopt;
            digit_before = false;
            continue;
        }
        const int digit = c >= '0' && c <= '9'                     ? c - '0'
                          : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10
                                                                   : 99;
        if (digit >= base) return std::nullopt;
        if (zero_only && digit != 0) return std::nullopt;
        overflow = overflow || __builtin_mul_overflow(value, static_cast<std::uint64_t>(base), &value) ||
                   __builtin_add_overflow(value, static_cast<std::uint64_t>(digit), &value);
        digit_before = true;
    }
    const std::uint64_t most =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + (negative ? 1U : 0U);
    if (overflow || value > most)
        fail("the integer '" + std::string(text.substr(0, 40)) + "' does not fit into 64 bits");
    return static_cast<std::int64_t>(negative ? ~value + 1 : value);
}

std::optional<double> parse_float(std::string_view text) {
    text = strip(text, nullptr, true, true);
    std::string clean;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '_') {
            const auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
            if (i == 0 || !digit(i - 1) || !digit(i + 1)) return std::nullopt;
            continue;
        }
        clean += text[i];
    }
    std::string_view body = clean;
    bool negative = false;
    if (!body.empty() && (body[0] == '+' || body[0] == '-')) {
        negative = body[0] == '-';
        body.remove_prefix(1);
    }
    const std::string lower = to_lower(body);
    double value = 0;
    if (lower == "inf" || lower == "infinity") {
        value = std::numeric_limits<double>::infinity();
    } else if (lower == "nan") {
        value = std::numeric_limits<double>::quiet_NaN();
    } else {
        if (body.empty() || !((body[0] >= '0' && body[0] <= '9') || body[0] == '.')) return std::nullopt;
        const auto result = std::from_chars(body.data(), body.data() + body.size(), value, std::chars_format::general);
        if (result.ptr != body.data() + body.size()) return std::nullopt;
        if (result.ec == std::errc::result_out_of_range) {
            value = std::strtod(std::string(body).c_str(), nullptr);  // infinity or zero, whichever side it fell off
        } else if (result.ec != std::errc()) {
            return std::nullopt;
        }
    }
    return negative ? -value : value;
}

std::int64_t truncate_real(double value) {
    if (std::isnan(value)) fail("cannot convert float NaN to integer");
    if (std::isinf(value)) fail("cannot convert float infinity to integer");
    if (value >= 9223372036854775808.0 || value < -9223372036854775808.0) {
        fail("the number " + float_repr(value) + " does not fit into a 64-bit integer");
    }
    return static_cast<std::int64_t>(value);
}

double round_real(double value, std::int64_t digits) {
    if (!std::isfinite(value) || digits > 323) return value;
    if (digits < -308) return std::copysign(0.0, value);
    // The shortest way to the correctly rounded decimal: print with that precision, read back.
    std::array<char, 720> buffer{};
    if (digits >= 0) {
        std::snprintf(buffer.data(), buffer.size(), "%.*f", static_cast<int>(digits), value);
        return std::strtod(buffer.data(), nullptr);
    }
    std::snprintf(buffer.data(), buffer.size(), "%.0f", std::trunc(value));
    std::string text(buffer.data());
    const bool negative = text[0] == '-';
    if (negative) text.erase(0, 1);
    const auto drop = static_cast<std::size_t>(-digits);
    if (text.size() < drop) return std::copysign(0.0, value);
    const std::string tail = text.substr(text.size() - drop);
    std::string head = text.substr(0, text.size() - drop);
    if (head.empty()) head = "0";
    const std::string half = "5" + std::string(drop - 1, '0');
    const bool exact_half = tail == half && value == std::trunc(value);
    const bool odd = ((head.back() - '0') & 1) != 0;
    if (tail > half || (tail == half && !exact_half) || (exact_half && odd)) {
        std::size_t i = head.size();
        while (i > 0 && head[i - 1] == '9') head[--i] = '0';
        if (i == 0) {
            head.insert(head.begin(), '1');
        } else {
            ++head[i - 1];
        }
    }
    const double result = std::strtod((head + std::string(drop, '0')).c_str(), nullptr);
    return negative ? -result : result;
}

}  // namespace freehold::jinja
