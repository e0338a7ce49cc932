// OpenAI's messages and tools as templates see them.
#pragma once

#include "fields.h"
#include "freehold/server/generation.h"

namespace freehold::server {

// messages, tools, chat_template_kwargs, add_generation_prompt. Throws RequestError 400 that names the message.
[[nodiscard]] ChatPrompt read_chat_prompt(const Fields& fields);
// Text of a content field: a string, null, or a list of text parts. `path` is for errors.
[[nodiscard]] std::string content_text(const Value* content, const std::string& path);

// The shapes that templates know, for every dialect:
// a call of a tool in the history; arguments are an object where their text is one, as a model may once have written
// something else;
[[nodiscard]] Value call_arguments(std::string_view text);
[[nodiscard]] Value call_value(const std::optional<std::string>& id, const std::string& name, Value arguments);
// a tool of name, description, strict and `parameters`, which may be null;
[[nodiscard]] Value tool_value(const Fields& tool, const ValueMap* parameters);
// `tools` of the request, each as `turn` makes it: at most 128;
template <class F>
[[nodiscard]] ValueList read_tool_list(const Fields& fields, F&& turn) {
    ValueList out;
    const ValueList* tools = fields.list("tools");
    if (tools == nullptr) return out;
    if (tools->size() > 128) fields.fail("tools", "tools holds more than 128 tools.");
    each_object(*tools, "tools", [&](const Fields& tool) { out.emplace_back(turn(tool)); });
    return out;
}
// the choice of one tool. `fields` and `field` are where it was named. Throws RequestError 400 when there is none.
[[nodiscard]] Value choice_of(const std::string& name, const ValueList& tools, const Fields& fields,
                              std::string_view field);

// "auto", "none", "required", or {"type":"function","function":{"name"}}; checked against the tools. Of "allowed_tools"
// only those that it names remain in `tools`.
[[nodiscard]] Value read_tool_choice(const Fields& fields, ValueList& tools);

}  // namespace freehold::server
