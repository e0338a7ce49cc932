// Binds every variable of a parsed template to its place, with the scopes of Jinja: what a loop, macro or block sets
// stays inside it, what an `if` sets does not, and a scope that sets a name starts from the outer value.
#pragma once

#include "ast.h"

namespace freehold::jinja {

// Error{bad_file} for an unknown filter or test, and for an assignment to `loop` inside a loop.
void resolve_names(TemplateTree& tree);

}  // namespace freehold::jinja
