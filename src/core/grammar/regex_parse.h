// Patterns of JSON Schema (ECMA-262 with the u flag) as regular languages.
#pragma once

#include <string>
#include <string_view>

#include "language.h"

namespace freehold::grammar {

enum class PatternUse : std::uint8_t { search, whole };  // found anywhere in the text, or the text from end to end

// Throws Error{usage} for a text that is no pattern and Error{unsupported} for what no automaton can do (back
// references) or this one does not (word boundaries, lookaround but for lookahead at the beginning); both name the
// offset.
[[nodiscard]] Rx parse_pattern(Regexes& regexes, std::string_view pattern, PatternUse use);

// UTF-8 to code points; bytes that are none are refused with Error{usage} naming `what`.
[[nodiscard]] std::u32string code_points(std::string_view text, std::string_view what);

}  // namespace freehold::grammar
