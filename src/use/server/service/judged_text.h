// Between a generation and the safeguards: what guards are shown of it, and how a refusal is told.
#pragma once

#include "freehold/server/errors.h"
#include "freehold/server/generation.h"
#include "freehold/server/safeguards.h"

namespace freehold::server {

// The texts of a conversation without its template: contents, arguments of calls, descriptions of tools. Empty for a
// prompt that is no conversation.
[[nodiscard]] std::string client_words(const Prompt& prompt);
// What the client is told when a guard stops its prompt.
[[nodiscard]] RequestError refusal_of(const safeguards::Decision& decision);
// Appends what came later of the same choice.
void join(Delta& held, Delta&& more);

}  // namespace freehold::server
