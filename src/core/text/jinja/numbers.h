// Numbers to text and back as Python does it, printf-style and str.format-style formatting.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "value.h"

namespace freehold::jinja {

[[nodiscard]] std::string float_repr(double value);
// int(text, base) and float(text); nullopt where Python raises ValueError, Error where the number does not fit.
[[nodiscard]] std::optional<std::int64_t> parse_int(std::string_view text, int base);
[[nodiscard]] std::optional<double> parse_float(std::string_view text);
// A real to an integer by dropping the fraction; fails on infinity, NaN and overflow.
[[nodiscard]] std::int64_t truncate_real(double value);

// text % args
[[nodiscard]] std::string percent_format(Heap& heap, std::string_view text, const Val& args);
// text.format(*args, **kw)
[[nodiscard]] std::string brace_format(Heap& heap, std::string_view text, const Args& args);
// format(value, spec)
[[nodiscard]] std::string format_value(Heap& heap, const Val& value, std::string_view spec);
// round() of a real to `digits` after the point, half to even on the exact value.
[[nodiscard]] double round_real(double value, std::int64_t digits);

}  // namespace freehold::jinja
