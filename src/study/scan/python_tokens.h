// Python code as tokens: what is a name, a text or a sign, and on which line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::scan {

struct Token {
    enum class Kind : std::uint8_t { name, text, number, sign, end } kind;
    std::string_view text;  // of the source; of a text what is between its quotes
    std::uint64_t line;
};

// Comments and what is between brackets' lines are left out. `source` must outlive the tokens.
[[nodiscard]] std::vector<Token> python_tokens(std::string_view source, std::uint64_t first_line);

}  // namespace freehold::scan
