// From the raw text of an answer to what a client is told apart: content, reasoning, calls of tools. A parser is made
// per answer, by a factory that knows the model's format.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"

namespace freehold {
class LoadedModel;
}

namespace freehold::server {

struct OutputDelta {
    enum class Kind : std::uint8_t {
        content,         // text of the answer
        reasoning,       // text of its thinking
        tool_call,       // a call begins: index, id, name
        tool_arguments,  // a piece of its arguments' JSON text; the pieces of one index join to one valid JSON object
    };
    Kind kind = Kind::content;
    std::string text;  // content, reasoning, tool_arguments
    int index = 0;     // of the call, from 0
    std::string id;    // of the call: "call_..."
    std::string name;  // of the function
};

class OutputParser {
 public:
    virtual ~OutputParser() = default;
    // A piece of the answer's text (whole characters). Appends what is certain by now.
    virtual void push(std::string_view piece, std::vector<OutputDelta>& out) = 0;
    // The answer has ended.
    virtual void finish(std::vector<OutputDelta>& out) = 0;
};

struct OutputParserInput {
    const LoadedModel* model = nullptr;
    ValueList tools;               // as the request gave them; empty: none
    Value tool_choice;             // as the request gave it
    ValueMap template_kwargs;      // enable_thinking and the like
    std::uint64_t id_seed = 0;     // ids of calls are made from it
    std::string_view prompt_text;  // the rendered prompt: it may end inside a thinking block
};

// How this model's answers are to be read. `show_special`: the parser wants control tokens as text.
struct OutputPlan {
    std::unique_ptr<OutputParser> parser;  // null: all text is content
    bool show_special = false;
};
using OutputPlanner = std::function<OutputPlan(const OutputParserInput&)>;
// The formats of the room `output`, found from the model's chat template.
[[nodiscard]] OutputPlanner make_output_planner();

}  // namespace freehold::server
