// Numbers as JSON writes them, exactly: no bound, multiple or constant ever passes through a double of ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "freehold/base/value.h"

namespace freehold::grammar {

__extension__ typedef __int128 Wide;  // 36 decimal digits

// (-1)^negative * digits * 10^exponent; digits without zeros at either end, "" is zero.
struct Decimal {
    bool negative = false;
    std::string digits;
    std::int64_t exponent = 0;

    [[nodiscard]] bool zero() const noexcept { return digits.empty(); }
    // The power of ten of the first digit: 0 for 1 to 9.99.
    [[nodiscard]] std::int64_t magnitude() const noexcept {
        return exponent + static_cast<std::int64_t>(digits.size()) - 1;
    }
    [[nodiscard]] Decimal negated() const;
    [[nodiscard]] bool is_multiple_of(const Decimal& step) const;  // step is not zero
    [[nodiscard]] bool is_integer() const noexcept { return zero() || exponent >= 0; }
    // this / 10^scale as an integer, if it is one and below 10^36.
    [[nodiscard]] std::optional<Wide> scaled(std::int64_t scale) const;
    friend bool operator==(const Decimal&, const Decimal&) = default;
};
[[nodiscard]] int compare(const Decimal& a, const Decimal& b);
[[nodiscard]] Decimal make_decimal(std::string_view json_number);  // syntax of RFC 8259; exponents clamp at a million
[[nodiscard]] std::optional<Decimal> as_decimal(const Value& value);  // numbers only
[[nodiscard]] std::string to_text(const Decimal& d);

// The least common multiple, or nothing where it has more than 30 digits.
[[nodiscard]] std::optional<Decimal> common_multiple(const Decimal& a, const Decimal& b);

}  // namespace freehold::grammar
