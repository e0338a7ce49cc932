// OpenAI's messages and tools as templates see them.
#pragma once

#include "fields.h"
#include "freehold/server/generation.h"

namespace freehold::server {

// messages, tools, chat_template_kwargs, add_generation_prompt. Throws RequestError 400 that names the message.
[[nodiscard]] ChatPrompt read_chat_prompt(const Fields& fields);
// Text of a content field: a string, null, or a list of text parts. `path` is for errors.
[[nodiscard]] std::string content_text(const Value* content, const std::string& path);
// "auto", "none", "required", or {"type":"function","function":{"name"}}; checked against the tools.
[[nodiscard]] Value read_tool_choice(const Fields& fields, const ValueList& tools);

}  // namespace freehold::server
