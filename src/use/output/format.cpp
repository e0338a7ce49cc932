// One row for each form in which models write calls of tools, and how templates give themselves away.
#include "freehold/output/format.h"

#include <algorithm>
#include <optional>

#include "freehold/text/tokenizer.h"

namespace freehold::output {

namespace {

using namespace std::string_literals;

const std::string kThink = "<think>";
const std::string kThinkEnd = "</think>";

bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

OutputFormat hermes() {
    OutputFormat f;
    f.name = "hermes";
    f.shape = CallShape::object;
    f.begin = {"<tool_call>"};
    f.end = {"</tool_call>"};
    f.call_begin = "<tool_call>\n{\"name\": \"{}\", \"arguments\": ";
    f.call_end = "}\n</tool_call>";
    f.section_between = "\n";
    return f;
}

OutputFormat mistral(std::string_view source) {
    OutputFormat f;
    f.name = "mistral";
    f.begin = {"[TOOL_CALLS]"};
    f.short_ids = true;
    f.shape = CallShape::named;  // lists of objects are read in this shape too
    f.separator = "[ARGS]";
    if (has(source, "[ARGS]")) {
        f.call_begin = "[TOOL_CALLS]{}[ARGS]";
    } else {
        f.section_begin = "[TOOL_CALLS][";
        f.call_begin = "{\"name\": \"{}\", \"arguments\": ";
        f.call_end = "}";
        f.section_between = ", ";
        f.section_end = "]";
    }
    return f;
}

OutputFormat deepseek(std::string_view source) {
    OutputFormat f;
    f.name = "deepseek";
    f.shape = CallShape::named;
    f.begin = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"};
    f.separator = "<｜tool▁sep｜>";
    f.end = {"```", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"};
    f.section_begin = "<｜tool▁calls▁begin｜>";
    f.section_end = "<｜tool▁calls▁end｜>";
    if (has(source, "```json") || has(source, "'```' + 'json'")) {
        f.call_begin = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n";
        f.call_end = "\n```<｜tool▁call▁end｜>";
        f.section_between = "\n";
    } else {
        f.call_begin = "<｜tool▁call▁begin｜>{}<｜tool▁sep｜>";
        f.call_end = "<｜tool▁call▁end｜>";
    }
    return f;
}

OutputFormat kimi() {
    OutputFormat f;
    f.name = "kimi";
    f.shape = CallShape::named;
    f.begin = {"<|tool_calls_section_begin|>", "<|tool_call_begin|>"};
    f.separator = "<|tool_call_argument_begin|>";
    f.end = {"<|tool_call_end|>", "<|tool_calls_section_end|>"};
    f.section_begin = "<|tool_calls_section_begin|>";
    f.call_begin = "<|tool_call_begin|>functions.{}:0<|tool_call_argument_begin|>";
    f.call_end = "<|tool_call_end|>";
    f.section_end = "<|tool_calls_section_end|>";
    return f;
}

OutputFormat listed(std::string name, std::string mark, std::string end) {
    OutputFormat f;
    f.name = std::move(name);
    f.shape = CallShape::object;
    f.begin = {mark};
    if (!end.empty()) f.end = {end};
    f.section_begin = mark + "[";
    f.call_begin = "{\"name\": \"{}\", \"arguments\": ";
    f.call_end = "}";
    f.section_between = ", ";
    f.section_end = "]" + end;
    return f;
}

OutputFormat command_r() {
    OutputFormat f = listed("command-r", "<|START_ACTION|>", "<|END_ACTION|>");
    f.call_begin = "{\"tool_call_id\": \"0\", \"tool_name\": \"{}\", \"parameters\": ";
    f.dropped = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"};
    return f;
}

OutputFormat llama3() {
    OutputFormat f;
    f.name = "llama3";
    f.shape = CallShape::object;
    f.begin = {"<|python_tag|>"};
    f.bare = true;
    f.call_begin = "{\"name\": \"{}\", \"parameters\": ";
    f.call_end = "}";
    f.section_between = "; ";
    return f;
}

OutputFormat functionary() {
    OutputFormat f;
    f.name = "functionary";
    f.shape = CallShape::named;
    f.begin = {"<function="};
    f.separator = ">";
    f.end = {"</function>"};
    f.call_begin = "<function={}>";
    f.call_end = "</function>";
    return f;
}

OutputFormat harmony() {
    OutputFormat f;
    f.name = "harmony";
    f.shape = CallShape::harmony;
    f.begin = {"<|start|>", "<|channel|>"};
    f.end = {"<|end|>", "<|call|>", "<|return|>"};
    f.separator = "<|message|>";
    f.call_begin = "<|channel|>commentary to=functions.{} <|constrain|>json<|message|>";
    f.call_end = "<|call|>";
    f.section_between = "<|start|>assistant";
    return f;
}

OutputFormat calls_of(std::string_view t) {
    if (has(t, "<|channel|>") && has(t, "<|message|>")) return harmony();
    if (has(t, "[TOOL_CALLS]")) return mistral(t);
    if (has(t, "<｜tool▁calls▁begin｜>")) return deepseek(t);
    if (has(t, "<|tool_calls_section_begin|>")) return kimi();
    if (has(t, "<|START_ACTION|>")) return command_r();
    // Arguments as tags, one by one: nothing that JSON could be taken from as it was written.
    const bool tags = has(t, "<arg_key>") || has(t, "<parameter=") || has(t, "<parameter name");
    if (has(t, "<tool_call>") && !tags) return hermes();
    if (has(t, "<|tool_call|>"))
        return listed("granite", "<|tool_call|>", has(t, "<|/tool_call|>") ? "<|/tool_call|>" : "");
    if (has(t, "functools[")) return listed("functools", "functools", "");
    if (has(t, "<function=") && !tags) return functionary();
    if (has(t, "<|python_tag|>") || (has(t, "\"parameters\": ") && has(t, "tools"))) return llama3();
    if (!has(t, "tools")) {
        OutputFormat f = hermes();
        f.needs_prompt = true;
        return f;
    }
    OutputFormat f;
    f.name = "text";
    return f;
}

}  // namespace

OutputFormat format_of_template(std::string_view t) {
    OutputFormat f = calls_of(t);
    if (f.shape == CallShape::harmony) return f;  // channels say what is thinking
    f.thinking = {{kThink, kThinkEnd}};
    if (has(t, "[THINK]")) f.thinking.emplace_back("[THINK]", "[/THINK]");
    if (has(t, "<|START_THINKING|>")) f.thinking.emplace_back("<|START_THINKING|>", "<|END_THINKING|>");
    if (has(t, "<seed:think>")) f.thinking.emplace_back("<seed:think>", "</seed:think>");
    for (std::size_t i = 0; i < f.thinking.size() && !f.taught_thinking; ++i) {
        if (has(t, f.thinking[i].first)) f.taught_thinking = i;
    }
    return f;
}

OutputFormat format_of(const std::map<std::string, std::string, std::less<>>& templates) {
    for (const char* name : {"tool_use", "default"}) {
        if (const auto found = templates.find(name); found != templates.end()) return format_of_template(found->second);
    }
    return format_of_template(templates.empty() ? std::string_view{} : templates.begin()->second);
}

std::vector<std::string> control_marks(const Tokenizer& tokenizer, std::span<const std::string> texts) {
    std::vector<std::string> found;
    for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
        const TokenInfo& info = tokenizer.token(id);
        if (info.kind != TokenInfo::Kind::control || info.text.empty()) continue;
        if (std::any_of(texts.begin(), texts.end(), [&](const std::string& text) { return has(text, info.text); })) {
            found.push_back(info.text);
        }
    }
    return found;
}

std::optional<std::size_t> open_thinking(const OutputFormat& f, std::string_view prompt) {
    while (!prompt.empty() && std::string_view(" \t\r\n").find(prompt.back()) != std::string_view::npos) {
        prompt.remove_suffix(1);
    }
    for (std::size_t i = 0; i < f.thinking.size(); ++i) {
        if (prompt.ends_with(f.thinking[i].first)) return i;
    }
    return std::nullopt;
}

bool ends_in_thinking(const OutputFormat& f, std::string_view prompt) {
    return open_thinking(f, prompt).has_value();
}

std::optional<Lead> lead_of(const OutputFormat& f, std::string_view prompt, bool to_call) {
    if (f.shape == CallShape::harmony) {
        const std::string answer = to_call ? "" : "<|channel|>final<|message|>";
        return Lead{"<|channel|>analysis<|message|>", "<|end|><|start|>assistant" + answer, answer, false};
    }
    const auto open = open_thinking(f, prompt);
    const auto pair = open ? open : f.taught_thinking;
    if (!pair) return std::nullopt;
    return Lead{f.thinking[*pair].first, f.thinking[*pair].second, {}, open.has_value()};
}

bool needs_special_text(const OutputFormat& f, const Tokenizer& tokenizer) {
    std::vector<std::string> marks = f.begin;
    marks.insert(marks.end(), f.end.begin(), f.end.end());
    marks.insert(marks.end(), f.dropped.begin(), f.dropped.end());
    marks.push_back(f.separator);
    for (const auto& [begin, end] : f.thinking) {
        marks.push_back(begin);
        marks.push_back(end);
    }
    return std::any_of(marks.begin(), marks.end(), [&](const std::string& mark) {
        const auto id = tokenizer.find(mark);
        return id && tokenizer.token(*id).kind == TokenInfo::Kind::control;
    });
}

}  // namespace freehold::output
