// Tokens to tree, with Jinja's grammar and precedence.
#pragma once

#include <string_view>

#include "ast.h"

namespace freehold::jinja {

// Error{bad_file} with line and column; Error{limit} for a template that nests deeper than `depth` levels.
[[nodiscard]] TemplateTree parse_template(std::string_view source, int depth);

}  // namespace freehold::jinja
