// Text from files and requests on its way into a message: no control characters that could play with a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace freehold {

// Valid UTF-8 without control characters (C0, DEL, C1), at most `max_bytes` of the text with "..." for the rest; what
// is not allowed becomes '?'.
[[nodiscard]] std::string printable(std::string_view text, std::size_t max_bytes = 200);

// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none (overlong forms and surrogates are
// invalid).
[[nodiscard]] std::size_t utf8_length(std::string_view text) noexcept;

}  // namespace freehold
