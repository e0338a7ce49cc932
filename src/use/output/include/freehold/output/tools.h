// Tools of a request: what the model has to be held to so that its calls are well formed, and how a model is told of
// tools whose template does not know them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/output/format.h"

namespace freehold::output {

// Names of tools in the shape {"type": "function", "function": {"name", "description", "parameters"}}, in order.
[[nodiscard]] std::vector<std::string> tool_names(const ValueList& tools);

// Free text in which calls stand, as tags with a schema between their ends. A grammar makes a mask of it.
struct ToolTags {
    struct Tag {
        std::string name;   // of the function
        std::string begin;  // text up to the arguments
        Value schema;       // of the arguments
        std::string end;
        bool strict = false;  // the tool asked for OpenAI's strict mode
    };
    std::vector<Tag> tags;
    // Around and between calls: section_begin tag (between tag)* section_end. May be empty.
    std::string section_begin, between, section_end;
    // In free text the first of these begins a section; nothing else is constrained. Each is a beginning of
    // section_begin + the begin of a tag.
    std::vector<std::string> triggers;
    bool at_least_one = false;      // no free text: the answer is calls (tool_choice required, or a named function)
    bool stop_after_first = false;  // exactly one (parallel_tool_calls false, or a named function)
};

// tool_choice: null or "auto", "none", "required", or {"type": "function", "function": {"name"}}. Nothing when there is
// nothing to hold the model to. Throws Error{usage} for a name that is none of the tools, and Error{unsupported} when a
// call is required of a model whose form of calls is not known.
[[nodiscard]] std::optional<ToolTags> tool_tags(const OutputFormat& format, const ValueList& tools,
                                                const Value& tool_choice, bool parallel);

// Messages for a template that knows no tools: the system message tells of them, calls and results of earlier turns
// become text of the assistant and of the user.
[[nodiscard]] ValueList with_tool_prompt(const ValueList& messages, const ValueList& tools);

}  // namespace freehold::output
