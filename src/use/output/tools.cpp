// Tools as tags for a grammar, and as a system message.
#include "freehold/output/tools.h"

#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold::output {

namespace {

const ValueMap* function_of(const Value& tool) {
    const auto* map = tool.get<ValueMap>();
    if (map == nullptr) return nullptr;
    const Value* function = map->find("function");
    const auto* inner = function != nullptr ? function->get<ValueMap>() : nullptr;
    return inner != nullptr ? inner : map;
}

std::string text_of(const ValueMap& map, std::string_view key) {
    const Value* value = map.find(key);
    return value != nullptr ? std::string(value->as_string().value_or("")) : std::string{};
}

std::string filled(const std::string& pattern, const std::string& name) {
    const std::size_t at = pattern.find("{}");
    return at == std::string::npos ? pattern : pattern.substr(0, at) + name + pattern.substr(at + 2);
}

// The name that a choice of one function gives; empty for every other choice.
std::string chosen_name(const Value& choice) {
    const auto* map = choice.get<ValueMap>();
    if (map == nullptr) return {};
    const Value* function = map->find("function");
    const auto* inner = function != nullptr ? function->get<ValueMap>() : nullptr;
    return text_of(inner != nullptr ? *inner : *map, "name");
}

std::string call_text(const ValueMap& message) {
    std::string text;
    const Value* calls = message.find("tool_calls");
    for (std::size_t i = 0; calls != nullptr && i < calls->size(); ++i) {
        const Value call = calls->at(i);
        const ValueMap* function = function_of(call);
        if (function == nullptr) continue;
        const Value* arguments = function->find("arguments");
        const auto written = arguments != nullptr ? arguments->as_string() : std::nullopt;
        text += fmt::format("{}<tool_call>\n{{\"name\": {}, \"arguments\": {}}}\n</tool_call>",
                            text.empty() ? "" : "\n", to_json(Value(text_of(*function, "name"))),
                            written     ? std::string(*written)
                            : arguments ? to_json(*arguments)
                                        : "{}");
    }
    return text;
}

std::string tool_prompt(const ValueList& tools) {
    std::string text = "You can call functions. These are the functions, one JSON object a line:\n<tools>\n";
    for (const Value& tool : tools) text += to_json(tool) + "\n";
    text +=
        "</tools>\n\nTo call one, answer with a JSON object of its name and its arguments between tags, like this:\n"
        "<tool_call>\n{\"name\": \"function_name\", \"arguments\": {\"argument\": \"value\"}}\n</tool_call>\n"
        "Results come back between <tool_response> and </tool_response>. If no function helps, answer as usual.";
    return text;
}

}  // namespace

std::vector<std::string> tool_names(const ValueList& tools) {
    std::vector<std::string> names;
    for (const Value& tool : tools) {
        if (const ValueMap* function = function_of(tool)) names.push_back(text_of(*function, "name"));
    }
    return names;
}

std::optional<ToolTags> tool_tags(const OutputFormat& format, const ValueList& tools, const Value& tool_choice,
                                  bool parallel) {
    const auto word = tool_choice.as_string();
    if (tools.empty() || word == "none") return std::nullopt;
    const std::string only = chosen_name(tool_choice);
    const bool required = word == "required" || word == "any" || !only.empty();
    if (format.call_begin.empty()) {
        if (!required) return std::nullopt;
        throw Error(ErrorKind::unsupported,
                    "tool_choice requires a call, but how this model writes calls is not known.",
                    "Let tool_choice be auto, or ask for JSON with response_format.");
    }
    ToolTags tags;
    for (const Value& tool : tools) {
        const ValueMap* function = function_of(tool);
        if (function == nullptr) continue;
        const std::string name = text_of(*function, "name");
        if (!only.empty() && name != only) continue;
        ToolTags::Tag tag;
        tag.name = name;
        tag.begin = filled(format.call_begin, name);
        const Value* parameters = function->find("parameters");
        tag.schema = parameters != nullptr && !parameters->is_null()
                         ? *parameters
                         : Value(ValueMap{{"type", Value("object")}, {"properties", Value(ValueMap{})}});
        tag.end = format.call_end;
        const Value* strict = function->find("strict");
        tag.strict = strict != nullptr && strict->as_bool().value_or(false);
        tags.tags.push_back(std::move(tag));
    }
    if (tags.tags.empty()) {
        throw Error(ErrorKind::usage,
                    fmt::format("tool_choice names \"{}\", which is none of the tools.", printable(only)),
                    "Name one of the tools of the request.");
    }
    tags.section_begin = format.section_begin;
    tags.between = format.section_between;
    tags.section_end = format.section_end;
    tags.at_least_one = required;
    tags.stop_after_first = !only.empty() || !parallel;
    // A mark begins a call and nothing else; where there is none, the text that calls have in common up to the name.
    const std::string start = format.section_begin + format.call_begin;
    tags.triggers = {start.substr(0, start.find("{}"))};
    for (const std::string& mark : format.begin) {
        if (format.shape != CallShape::harmony && start.starts_with(mark)) tags.triggers = {mark};
    }
    return tags;
}

ValueList with_tool_prompt(const ValueList& messages, const ValueList& tools) {
    ValueList out;
    bool told = tools.empty();
    const auto tell = [&] {
        if (!told) out.emplace_back(ValueMap{{"role", Value("system")}, {"content", Value(tool_prompt(tools))}});
        told = true;
    };
    for (const Value& message : messages) {
        const auto* map = message.get<ValueMap>();
        if (map == nullptr) {
            out.push_back(message);
            continue;
        }
        const std::string role = text_of(*map, "role");
        const std::string content = text_of(*map, "content");
        if (role == "system" && !told) {
            ValueMap changed = *map;
            changed.set("content", Value(content + "\n\n" + tool_prompt(tools)));
            out.emplace_back(std::move(changed));
            told = true;
            continue;
        }
        tell();
        if (role == "tool") {
            const std::string text = "<tool_response>\n" + content + "\n</tool_response>";
            // Results of one turn are one message: many templates want roles to alternate.
            const auto* last = out.empty() ? nullptr : out.back().get<ValueMap>();
            if (last != nullptr && last->find("from_tools") != nullptr) {
                ValueMap joined = *last;
                joined.set("content", Value(text_of(joined, "content") + "\n" + text));
                out.back() = Value(std::move(joined));
            } else {
                out.emplace_back(
                    ValueMap{{"role", Value("user")}, {"content", Value(text)}, {"from_tools", Value(true)}});
            }
            continue;
        }
        if (role == "assistant" && map->find("tool_calls") != nullptr) {
            ValueMap changed = *map;
            const std::string calls = call_text(*map);
            changed.set("content", Value(content.empty() || calls.empty() ? content + calls : content + "\n" + calls));
            changed.erase("tool_calls");
            out.emplace_back(std::move(changed));
            continue;
        }
        out.push_back(message);
    }
    tell();
    return out;
}

}  // namespace freehold::output
