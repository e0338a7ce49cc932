// Items of /v1/responses as the one internal prompt, and back.
#pragma once

#include "common.h"

namespace freehold::server {

struct ResponsesInput {
    ValueList items;     // as they came, each with an id
    ValueList messages;  // the same as messages of a template
};
// `input`: a text, or a list of items.
[[nodiscard]] ResponsesInput read_responses_input(const Fields& fields);
// Flat function tools to the shape that templates know.
[[nodiscard]] ValueList read_responses_tools(const Fields& fields);
// Items of an answer as a message of the conversation.
void add_answer(ValueList& messages, const ValueList& output);

}  // namespace freehold::server
