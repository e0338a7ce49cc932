// Base64 (RFC 4648), as tokenizer.json carries a compiled normalization.
#pragma once

#include <string>
#include <string_view>

namespace freehold::text {

// Error{bad_file} naming `where` for a character outside the alphabet.
[[nodiscard]] std::string from_base64(std::string_view text, std::string_view where);

}  // namespace freehold::text
