// Reading known keys out of a parsed JSON tree, with messages that name the document and the key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "freehold/base/value.h"

namespace freehold::json {

// All throw Error{bad_file} "`what`: key ... must be ...". `required` false: a default for a key that is absent.
[[nodiscard]] const ValueMap& object(const Value& value, std::string_view what, std::string_view where);
[[nodiscard]] std::string text(const ValueMap& map, std::string_view key, std::string_view what, bool required = true);
[[nodiscard]] std::uint64_t size(const ValueMap& map, std::string_view key, std::string_view what,
                                 bool required = true);
// The list under a key (nullptr when absent and not required). Lists of strings come in their own form: use at().
[[nodiscard]] const Value* list(const ValueMap& map, std::string_view key, std::string_view what, bool required = true);
// A key that may be absent or null.
[[nodiscard]] const ValueMap* maybe_object(const ValueMap& map, std::string_view key, std::string_view what);

}  // namespace freehold::json
