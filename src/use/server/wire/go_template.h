// Ollama keeps chat templates in the language of Go's text/template; ours are Jinja. What such templates use of it is
// turned over; what is not known is refused, and the model's own Jinja stays in force.
// https://pkg.go.dev/text/template, https://github.com/ollama/ollama/blob/main/docs/template.md
#pragma once

#include <string>
#include <string_view>

namespace freehold::server {

// Variables .System, .Prompt, .Response (the older form, one turn), .Messages with .Role and .Content (the newer one);
// if, else, range over .Messages, end; eq, ne, and, or, not, len, slice; string literals and variables.
// Throws Error{unsupported} naming the action that has no counterpart.
[[nodiscard]] std::string jinja_from_go(std::string_view source);
// Is this Jinja already ("{%")? Go's language has no such mark.
[[nodiscard]] bool looks_like_jinja(std::string_view source) noexcept;

}  // namespace freehold::server
