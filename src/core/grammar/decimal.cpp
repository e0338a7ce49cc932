// Exact decimal arithmetic, as much as schemas need: order, divisibility, small scaled integers.
#include "decimal.h"

#include <algorithm>
#include <numeric>

namespace freehold::grammar {

namespace {

constexpr std::size_t kWideDigits = 36;

Wide wide_gcd(Wide a, Wide b) {
    while (b != 0) {
        const Wide r = a % b;
        a = b;
        b = r;
    }
    return a;
}

Decimal from_wide(Wide value, std::int64_t exponent) {
    Decimal d;
    d.negative = value < 0;
    if (d.negative) value = -value;
    while (value != 0) {
        d.digits.push_back(static_cast<char>('0' + static_cast<int>(value % 10)));
        value /= 10;
    }
    std::reverse(d.digits.begin(), d.digits.end());
    d.exponent = exponent;
    while (!d.digits.empty() && d.digits.back() == '0') {
        d.digits.pop_back();
        ++d.exponent;
    }
    if (d.digits.empty()) return {};
    return d;
}

}  // namespace

Decimal Decimal::negated() const {
    Decimal d = *this;
    if (!d.zero()) d.negative = !d.negative;
    return d;
}

bool Decimal::is_multiple_of(const Decimal& step) const {
    if (zero()) return true;
    // No zero at the end, so a coarser step cannot divide it.
    if (exponent < step.exponent) return false;
    if (step.digits.size() > kWideDigits) return digits == step.digits && exponent == step.exponent;
    Wide m = 0;
    for (const char c : step.digits) m = m * 10 + (c - '0');
    if (m == 1) return true;
    if (m > static_cast<Wide>(1) << 122) return false;
    Wide rest = 0;
    for (const char c : digits) rest = (rest * 10 + (c - '0')) % m;
    for (std::int64_t i = 0; i < exponent - step.exponent && rest != 0; ++i) {
        if (i > 200) return false;  // powers of 2 and 5 in m are used up long before
        rest = rest * 10 % m;
    }
    return rest == 0;
}

std::optional<Wide> Decimal::scaled(std::int64_t scale) const {
    if (zero()) return Wide{0};
    const std::int64_t zeros = exponent - scale;
    if (zeros < 0 || static_cast<std::uint64_t>(zeros) + digits.size() > kWideDigits) return std::nullopt;
    Wide value = 0;
    for (const char c : digits) value = value * 10 + (c - '0');
    for (std::int64_t i = 0; i < zeros; ++i) value *= 10;
    return negative ? -value : value;
}

int compare(const Decimal& a, const Decimal& b) {
    const auto sign = [](const Decimal& d) { return d.zero() ? 0 : d.negative ? -1 : 1; };
    const int sa = sign(a);
    const int sb = sign(b);
    if (sa != sb) return sa < sb ? -1 : 1;
    if (sa == 0) return 0;
    int order = 0;
    if (a.magnitude() != b.magnitude()) {
        order = a.magnitude() < b.magnitude() ? -1 : 1;
    } else {
        const int c = a.digits.compare(b.digits);  // aligned at the first digit, a longer one is larger
        order = c < 0 ? -1 : c > 0 ? 1 : 0;
    }
    return sa > 0 ? order : -order;
}

Decimal make_decimal(std::string_view text) {
    Decimal d;
    std::size_t i = 0;
    if (i < text.size() && text[i] == '-') {
        d.negative = true;
        ++i;
    }
    bool fraction = false;
    for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; ++i) {
        if (text[i] == '.') {
            fraction = true;
            continue;
        }
        if (fraction) --d.exponent;
        if (d.digits.empty() && text[i] == '0') continue;
        d.digits.push_back(text[i]);
    }
    if (i < text.size()) {
        ++i;
        bool minus = false;
        if (i < text.size() && (text[i] == '-' || text[i] == '+')) minus = text[i++] == '-';
        std::int64_t e = 0;
        for (; i < text.size(); ++i) e = std::min<std::int64_t>(e * 10 + (text[i] - '0'), 1'000'000);
        d.exponent += minus ? -e : e;
    }
    while (!d.digits.empty() && d.digits.back() == '0') {
        d.digits.pop_back();
        ++d.exponent;
    }
    if (d.digits.empty()) return {};
    return d;
}

std::optional<Decimal> as_decimal(const Value& value) {
    if (value.get<std::int64_t>() == nullptr && value.get<std::uint64_t>() == nullptr &&
        value.get<double>() == nullptr) {
        return std::nullopt;
    }
    return make_decimal(to_json(value));
}

std::string to_text(const Decimal& d) {
    if (d.zero()) return "0";
    std::string text = d.negative ? "-" : "";
    const std::int64_t m = d.magnitude();
    if (d.exponent >= 0 && m < 30) {
        text += d.digits;
        return text.append(static_cast<std::size_t>(d.exponent), '0');
    }
    if (m >= -6 && m < 30) {
        if (m < 0) return text + "0." + std::string(static_cast<std::size_t>(-m - 1), '0') + d.digits;
        const auto point = static_cast<std::size_t>(m + 1);
        return text + d.digits.substr(0, point) + "." + d.digits.substr(point);
    }
    text += d.digits.substr(0, 1);
    if (d.digits.size() > 1) text += "." + d.digits.substr(1);
    return text + "e" + std::to_string(m);
}

std::optional<Decimal> common_multiple(const Decimal& a, const Decimal& b) {
    const std::int64_t scale = std::min(a.exponent, b.exponent);
    const auto x = a.scaled(scale);
    const auto y = b.scaled(scale);
    if (!x || !y) return std::nullopt;
    const Wide quotient = *x / wide_gcd(*x, *y);
    Wide bound = 1;
    for (int i = 0; i < 30; ++i) bound *= 10;
    if (quotient > bound / *y) return std::nullopt;
    return from_wide(quotient * *y, scale);
}

}  // namespace freehold::grammar
