// Items: messages, calls of functions and their results, thinking.
#include "responses_input.h"

#include <fmt/format.h>

#include "chat_messages.h"

namespace freehold::server {
namespace {

// The last message if it is the assistant's, so that text, thinking and calls of one turn are one message.
ValueMap take_assistant(ValueList& messages) {
    if (!messages.empty()) {
        const auto* last = messages.back().get<ValueMap>();
        if (last->find("role")->as_string() == "assistant") {
            ValueMap out = *last;
            messages.pop_back();
            return out;
        }
    }
    return ValueMap{{"role", Value("assistant")}, {"content", Value("")}};
}

void add_call(ValueList& messages, const std::string& id, const std::string& name, const std::string& arguments) {
    ValueMap message = take_assistant(messages);
    ValueList calls;
    if (const Value* present = message.find("tool_calls")) calls = *present->get<ValueList>();
    calls.push_back(call_value(id, name, call_arguments(arguments)));
    message.set("tool_calls", Value(std::move(calls)));
    messages.emplace_back(std::move(message));
}

void add_thinking(ValueList& messages, const std::string& text) {
    messages.emplace_back(
        ValueMap{{"role", Value("assistant")}, {"content", Value("")}, {"reasoning_content", Value(text)}});
}

void add_text(ValueList& messages, const std::string& role, const std::string& text) {
    if (role != "assistant") {
        messages.emplace_back(ValueMap{{"role", Value(role)}, {"content", Value(text)}});
        return;
    }
    // Behind its own thinking the text is part of the same turn; behind a text or a call it is another.
    const auto* last = messages.empty() ? nullptr : messages.back().get<ValueMap>();
    const bool joins = last != nullptr && last->find("reasoning_content") != nullptr &&
                       last->find("content")->as_string() == "" && last->find("tool_calls") == nullptr;
    ValueMap message = joins ? take_assistant(messages) : ValueMap{{"role", Value("assistant")}};
    message.set("content", Value(text));
    messages.emplace_back(std::move(message));
}

std::string reasoning_text(const Fields& item) {
    std::string text;
    for (const char* name : {"content", "summary"}) {
        const ValueList* parts = item.list(name);
        for (std::size_t i = 0; parts != nullptr && i < parts->size(); ++i) {
            const auto* map = (*parts)[i].get<ValueMap>();
            if (map != nullptr) text += Fields(*map, item.path(name)).string("text").value_or("");
        }
        if (!text.empty()) return text;
    }
    return text;
}

void read_item(const Fields& item, ValueList& messages) {
    const std::string& path = item.path();
    const std::string type = item.string("type").value_or("message");
    if (type == "message") {
        std::string role = item.need_string("role");
        if (role == "developer") role = "system";
        if (role != "system" && role != "user" && role != "assistant")
            item.fail("role", fmt::format("{}.role is \"{}\".", path, role.substr(0, 40)),
                      "Roles are system, developer, user and assistant.");
        if (!item.has("content")) item.fail("content", fmt::format("{}.content is missing.", path));
        return add_text(messages, role, content_text(item.find("content"), path + ".content"));
    }
    if (type == "function_call") {
        return add_call(messages, item.need_string("call_id"), item.need_string("name"), item.need_string("arguments"));
    }
    if (type == "function_call_output") {
        messages.emplace_back(ValueMap{{"role", Value("tool")},
                                       {"tool_call_id", Value(item.need_string("call_id"))},
                                       {"content", Value(content_text(item.find("output"), path + ".output"))}});
        return;
    }
    if (type == "reasoning") return add_thinking(messages, reasoning_text(item));
    item.fail("type", fmt::format("{}.type is \"{}\", which this server does not take.", path, type.substr(0, 40)),
              "Items are message, function_call, function_call_output and reasoning.");
}

}  // namespace

ResponsesInput read_responses_input(const Fields& fields) {
    ResponsesInput out;
    const Value* input = fields.find("input");
    if (input == nullptr) fields.fail("input", "input is missing.", "Give a text or a list of items.");
    if (const auto text = input->as_string()) {
        const Value part = ValueMap{{"type", Value("input_text")}, {"text", Value(std::string(*text))}};
        out.items.emplace_back(ValueMap{{"id", Value(fresh_id("msg_"))},
                                        {"type", Value("message")},
                                        {"status", Value("completed")},
                                        {"role", Value("user")},
                                        {"content", Value(ValueList{part})}});
        out.messages.push_back(ValueMap{{"role", Value("user")}, {"content", Value(std::string(*text))}});
        return out;
    }
    const ValueList* items = fields.list("input");
    if (items == nullptr)
        fields.fail("input", fmt::format("input is {}.", type_of(*input)), "Give a text or a list of items.");
    each_object(*items, "input", [&](const Fields& item) {
        read_item(item, out.messages);
        ValueMap kept = item.map();
        if (!item.has("type")) kept.set("type", Value("message"));
        if (!item.has("id")) kept.set("id", Value(fresh_id("item_")));
        const Value* content = item.find("content");
        const auto text = content != nullptr ? content->as_string() : std::nullopt;
        if (text && item.string("type").value_or("message") == "message") {
            const char* type = item.string("role") == "assistant" ? "output_text" : "input_text";
            kept.set("content",
                     Value(ValueList{Value(ValueMap{{"type", Value(type)}, {"text", Value(std::string(*text))}})}));
        }
        out.items.emplace_back(std::move(kept));
    });
    return out;
}

ValueList read_responses_tools(const Fields& fields) {
    return read_tool_list(fields, [](const Fields& tool) {
        if (tool.need_string("type") != "function")
            tool.fail("type", fmt::format("{} is not \"function\".", tool.path("type")),
                      "Only functions can be called here.");
        return tool_value(tool, tool.object("parameters"));
    });
}

void add_answer(ValueList& messages, const ValueList& output) {
    for (std::size_t i = 0; i < output.size(); ++i) {
        const auto* map = output[i].get<ValueMap>();
        if (map != nullptr) read_item(Fields(*map, "output"), messages);
    }
}

}  // namespace freehold::server
