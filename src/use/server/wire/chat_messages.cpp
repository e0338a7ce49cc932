// Messages are checked here, so that templates meet only shapes that they know.
#include "chat_messages.h"

#include <fmt/format.h>

#include <algorithm>

namespace freehold::server {
namespace {

// Calls of tools in the history: templates want the arguments as an object, the wire has them as JSON text.
Value tool_call(const Fields& call) {
    const ValueMap* function = call.object("function");
    if (function == nullptr) call.fail("function", fmt::format("{} is missing.", call.path("function")));
    const Fields f(*function, call.path("function"));
    const Value* arguments = f.find("arguments");
    Value value = arguments == nullptr ? Value(ValueMap{}) : *arguments;
    if (const auto text = value.as_string()) value = call_arguments(*text);
    return call_value(call.string("id"), f.need_string("name"), std::move(value));
}

Value read_message(const Fields& fields) {
    const std::string& path = fields.path();
    std::string role = fields.need_string("role");
    if (role == "developer") role = "system";  // the newer name of the same thing; templates know the older one
    if (role == "function") role = "tool";
    if (role != "system" && role != "user" && role != "assistant" && role != "tool") {
        fields.fail("role", fmt::format("{}.role is \"{}\".", path, role.substr(0, 40)),
                    "Roles are system, developer, user, assistant and tool.");
    }
    ValueMap out;
    out.set("role", role);
    const Value* content = fields.find("content");
    const ValueList* calls = fields.list("tool_calls");
    if (content == nullptr && role != "assistant") {
        fields.fail("content", fmt::format("{}.content is missing.", path));
    }
    out.set("content", content_text(content, path + ".content"));
    for (const char* name : {"name", "tool_call_id", "reasoning_content", "refusal"}) {
        if (auto text = fields.string(name)) out.set(name, std::move(*text));
    }
    // Another server's word for the same thing.
    if (auto text = fields.string("reasoning"); text && !fields.has("reasoning_content"))
        out.set("reasoning_content", std::move(*text));
    if (calls != nullptr && !calls->empty()) {
        ValueList list;
        each_object(*calls, fields.path("tool_calls"), [&](const Fields& call) { list.push_back(tool_call(call)); });
        out.set("tool_calls", std::move(list));
    }
    return out;
}

ValueList read_tools(const Fields& fields) {
    return read_tool_list(fields, [](const Fields& tool) -> Value {
        if (tool.string("type").value_or("function") != "function")
            tool.fail("type", fmt::format("{} is not \"function\".", tool.path("type")),
                      "Only functions can be called.");
        const ValueMap* function = tool.object("function");
        if (function == nullptr) tool.fail("function", fmt::format("{} is missing.", tool.path("function")));
        const Fields f(*function, tool.path("function"));
        static_cast<void>(f.need_string("name"));
        static_cast<void>(f.object("parameters"));
        return tool.map();
    });
}

}  // namespace

std::string content_text(const Value* content, const std::string& path) {
    if (content == nullptr || content->is_null()) return {};
    if (const auto text = content->as_string()) return std::string(*text);
    const auto* parts = content->get<ValueList>();
    if (parts == nullptr) {
        throw field_error(path, fmt::format("{} is {}, not a string or a list of parts.", path, type_of(*content)));
    }
    std::string out;
    each_object(*parts, path, [&](const Fields& part) {
        const std::string type = part.need_string("type");
        if (type == "refusal") {
            out += part.need_string("refusal");
        } else if (type == "text" || type == "input_text" || type == "output_text") {
            out += part.need_string("text");
        } else {
            part.fail("type",
                      fmt::format("{} is \"{}\", which no model here takes.", part.path("type"), type.substr(0, 40)),
                      "Send text.");
        }
    });
    return out;
}

Value call_arguments(std::string_view text) {
    if (text.empty()) return ValueMap{};
    try {
        Value parsed = parse_json(text, "arguments");
        if (parsed.get<ValueMap>() != nullptr) return parsed;
    } catch (const Error&) {
        // The template shows it as it is.
    }
    return std::string(text);
}

Value call_value(const std::optional<std::string>& id, const std::string& name, Value arguments) {
    ValueMap out;
    if (id) out.set("id", *id);
    out.set("type", "function");
    out.set("function", ValueMap{{"name", name}, {"arguments", std::move(arguments)}});
    return out;
}

Value tool_value(const Fields& tool, const ValueMap* parameters) {
    ValueMap function{{"name", Value(tool.need_string("name"))}};
    if (auto text = tool.string("description")) function.set("description", Value(std::move(*text)));
    if (parameters != nullptr) function.set("parameters", Value(*parameters));
    if (const auto strict = tool.boolean("strict")) function.set("strict", Value(*strict));
    return ValueMap{{"type", Value("function")}, {"function", Value(std::move(function))}};
}

Value choice_of(const std::string& name, const ValueList& tools, const Fields& fields, std::string_view field) {
    const bool known = std::ranges::any_of(tools, [&](const Value& tool) {
        const Value* found = freehold::find(*tool.get<ValueMap>(), "function.name");
        return found != nullptr && found->as_string() == name;
    });
    if (!known) {
        fields.fail(field, fmt::format("tool_choice names \"{}\", which is not among the tools.", name.substr(0, 64)));
    }
    return ValueMap{{"type", "function"}, {"function", ValueMap{{"name", name}}}};
}

// The last message is the beginning of the answer, as vLLM's continue_final_message asks.
static void go_on_with_last(const Fields& fields, ChatPrompt& chat) {
    if (fields.boolean("add_generation_prompt").value_or(false)) {
        fields.fail("continue_final_message", "continue_final_message and add_generation_prompt contradict each other.",
                    "Set one of them.");
    }
    const auto* last = chat.messages.back().get<ValueMap>();
    const Value* role = last->find("role");
    const Value* content = last->find("content");
    if (role == nullptr || role->as_string() != "assistant" || last->find("tool_calls") != nullptr ||
        content == nullptr || !content->as_string() || content->as_string()->empty() || chat.messages.size() < 2) {
        fields.fail("continue_final_message",
                    "continue_final_message is set, but the last message is no assistant's text "
                    "behind another message.",
                    "Put the beginning of the answer there.");
    }
    chat.prefill = std::string(*content->as_string());
    chat.messages.pop_back();
    chat.add_generation_prompt = true;
}

ChatPrompt read_chat_prompt(const Fields& fields) {
    ChatPrompt chat;
    const ValueList* messages = fields.list("messages");
    if (messages == nullptr) fields.fail("messages", "messages is missing.", "Give a list of {role, content}.");
    if (messages->empty()) fields.fail("messages", "messages is empty.", "Give at least one message.");
    each_object(*messages, "messages", [&](const Fields& m) { chat.messages.push_back(read_message(m)); });
    chat.tools = read_tools(fields);
    if (const ValueMap* kwargs = fields.object("chat_template_kwargs")) chat.kwargs = *kwargs;
    // Names that the template gets from us cannot be replaced.
    for (const char* name : {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token",
                             "unk_token", "pad_token"})
        chat.kwargs.erase(name);
    if (const auto effort = fields.string("reasoning_effort");
        effort && chat.kwargs.find("reasoning_effort") == nullptr)
        chat.kwargs.set("reasoning_effort", *effort);
    if (const auto effort = fields.string("reasoning_effort"); effort && *effort != "none" && *effort != "minimal")
        chat.thinking_field = "reasoning_effort";
    chat.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
    if (fields.boolean("continue_final_message").value_or(false)) go_on_with_last(fields, chat);
    return chat;
}

// {"type": "allowed_tools"}: only those named there remain, and the mode is the choice. OpenAI's two dialects write it
// with and without an inner object.
static Value allowed_tools(const Fields& fields, const Fields& choice, ValueList& tools) {
    const ValueMap* inner = choice.object("allowed_tools");
    const Fields f(inner != nullptr ? *inner : choice.map(),
                   inner != nullptr ? "tool_choice.allowed_tools" : "tool_choice");
    const std::string mode = f.need_string("mode");
    if (mode != "auto" && mode != "required") f.fail("mode", "The mode of allowed_tools is neither auto nor required.");
    const ValueList* names = f.list("tools");
    if (names == nullptr || names->empty()) f.fail("tools", "allowed_tools names no tool.");
    ValueList kept;
    each_object(*names, f.path("tools"), [&](const Fields& named) {
        const ValueMap* function = named.object("function");
        const std::string name = function != nullptr ? Fields(*function, named.path("function")).need_string("name")
                                                     : named.need_string("name");
        static_cast<void>(choice_of(name, tools, fields, "tool_choice"));
        for (const Value& tool : tools) {
            if (freehold::find(*tool.get<ValueMap>(), "function.name")->as_string() == name) kept.push_back(tool);
        }
    });
    tools = std::move(kept);
    return mode;
}

Value read_tool_choice(const Fields& fields, ValueList& tools) {
    const Value* choice = fields.find("tool_choice");
    if (choice == nullptr) return {};
    const auto word = choice->as_string();
    if (word) {
        if (*word != "auto" && *word != "none" && *word != "required" && *word != "any") {
            fields.fail("tool_choice", fmt::format("tool_choice is \"{}\".", std::string(*word).substr(0, 40)),
                        "It is auto, none, required, or names a function.");
        }
        if ((*word == "required" || *word == "any") && tools.empty())
            fields.fail("tool_choice", "tool_choice asks for a call, but there are no tools.");
        return *word == "any" ? Value("required") : *choice;
    }
    const auto* map = choice->get<ValueMap>();
    if (map == nullptr) fields.fail("tool_choice", "tool_choice is neither a word nor an object.");
    const Fields f(*map, "tool_choice");
    if (f.string("type") == "allowed_tools") return allowed_tools(fields, f, tools);
    const ValueMap* function = f.object("function");
    const std::string name =
        function != nullptr ? Fields(*function, "tool_choice.function").need_string("name") : f.need_string("name");
    return choice_of(name, tools, fields, "tool_choice");
}

}  // namespace freehold::server
