// llama.cpp's grammar notation, read into rules of a program.
#pragma once

#include <string_view>

#include "program.h"

namespace freehold::grammar {

// Adds the rules of `text` and returns the index of `root`. Rules that do not recur become regular terminals.
// Error{usage} with line and column; Error{unsupported}: left recursion, token references; Error{limit}: too large.
[[nodiscard]] std::uint32_t compile_gbnf(Program& program, std::string_view text);

}  // namespace freehold::grammar
