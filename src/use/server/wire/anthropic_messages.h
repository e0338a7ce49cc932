// Anthropic's messages, system and tools as the one internal prompt.
#pragma once

#include "common.h"

namespace freehold::server {

// model, system, messages, tools, tool_choice, thinking: what /v1/messages and count_tokens have in common.
[[nodiscard]] GenerationRequest read_anthropic_prompt(const Fields& fields);
// {"type":"error","error":{"type","message"},"request_id"}.
[[nodiscard]] std::string anthropic_error(const ErrorFacts& facts);
[[nodiscard]] Value anthropic_error_value(const ErrorFacts& facts);

}  // namespace freehold::server
