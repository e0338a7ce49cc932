// Base64 (RFC 4648), strict: the standard alphabet, padded, nothing between, no loose bits; one text for one value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace freehold::bundle {

[[nodiscard]] std::string to_base64(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace freehold::bundle
