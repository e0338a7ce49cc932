// Messages are checked here, so that templates meet only shapes that they know.
#include "chat_messages.h"

#include <fmt/format.h>

#include <algorithm>

namespace freehold::server {
namespace {

// Calls of tools in the history: templates want the arguments as an object, the wire has them as JSON text.
Value tool_call(const Value& call, const std::string& path) {
    const auto* map = call.get<ValueMap>();
    if (map == nullptr) throw field_error(path, fmt::format("{} is no object.", path));
    const Fields fields(*map, path);
    const ValueMap* function = fields.object("function");
    if (function == nullptr) fields.fail("function", fmt::format("{}.function is missing.", path));
    const Fields f(*function, path + ".function");
    ValueMap out_function;
    out_function.set("name", f.need_string("name"));
    const Value* arguments = f.find("arguments");
    Value value = arguments == nullptr ? Value(ValueMap{}) : *arguments;
    if (const auto text = value.as_string()) {
        try {
            Value parsed = parse_json(*text, path + ".function.arguments");
            if (parsed.get<ValueMap>() != nullptr) value = std::move(parsed);
        } catch (const Error&) {
            value =
                Value(std::string(*text));  // what a model once said need not be JSON; the template shows it as it is
        }
    }
    out_function.set("arguments", std::move(value));
    ValueMap out;
    if (const auto id = fields.string("id")) out.set("id", *id);
    out.set("type", "function");
    out.set("function", std::move(out_function));
    return out;
}

Value read_message(const Value& message, const std::string& path) {
    const auto* map = message.get<ValueMap>();
    if (map == nullptr) throw field_error(path, fmt::format("{} is {}, not an object.", path, type_of(message)));
    const Fields fields(*map, path);
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
        for (std::size_t i = 0; i < calls->size(); ++i)
            list.push_back(tool_call((*calls)[i], fmt::format("{}.tool_calls[{}]", path, i)));
        out.set("tool_calls", std::move(list));
    }
    return out;
}

ValueList read_tools(const Fields& fields) {
    ValueList out;
    const ValueList* tools = fields.list("tools");
    if (tools == nullptr) return out;
    if (tools->size() > 128) fields.fail("tools", "tools holds more than 128 tools.");
    for (std::size_t i = 0; i < tools->size(); ++i) {
        const std::string path = fmt::format("tools[{}]", i);
        const auto* map = (*tools)[i].get<ValueMap>();
        if (map == nullptr) throw field_error(path, fmt::format("{} is no object.", path));
        const Fields tool(*map, path);
        if (tool.string("type").value_or("function") != "function")
            tool.fail("type", fmt::format("{}.type is not \"function\".", path), "Only functions can be called.");
        const ValueMap* function = tool.object("function");
        if (function == nullptr) tool.fail("function", fmt::format("{}.function is missing.", path));
        const Fields f(*function, path + ".function");
        static_cast<void>(f.need_string("name"));
        static_cast<void>(f.object("parameters"));
        out.push_back((*tools)[i]);
    }
    return out;
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
    for (std::size_t i = 0; i < parts->size(); ++i) {
        const std::string at = fmt::format("{}[{}]", path, i);
        const auto* map = (*parts)[i].get<ValueMap>();
        if (map == nullptr) throw field_error(at, fmt::format("{} is no object.", at));
        const Fields part(*map, at);
        const std::string type = part.need_string("type");
        if (type == "refusal") {
            out += part.need_string("refusal");
        } else if (type == "text" || type == "input_text" || type == "output_text") {
            out += part.need_string("text");
        } else {
            part.fail("type", fmt::format("{}.type is \"{}\", which no model here takes.", at, type.substr(0, 40)),
                      "Send text.");
        }
    }
    return out;
}

ChatPrompt read_chat_prompt(const Fields& fields) {
    ChatPrompt chat;
    const ValueList* messages = fields.list("messages");
    if (messages == nullptr) fields.fail("messages", "messages is missing.", "Give a list of {role, content}.");
    if (messages->empty()) fields.fail("messages", "messages is empty.", "Give at least one message.");
    for (std::size_t i = 0; i < messages->size(); ++i)
        chat.messages.push_back(read_message((*messages)[i], fmt::format("messages[{}]", i)));
    chat.tools = read_tools(fields);
    if (const ValueMap* kwargs = fields.object("chat_template_kwargs")) chat.kwargs = *kwargs;
    // Names that the template gets from us cannot be replaced.
    for (const char* name : {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token",
                             "unk_token", "pad_token"})
        chat.kwargs.erase(name);
    if (const auto effort = fields.string("reasoning_effort");
        effort && chat.kwargs.find("reasoning_effort") == nullptr)
        chat.kwargs.set("reasoning_effort", *effort);
    chat.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
    return chat;
}

Value read_tool_choice(const Fields& fields, const ValueList& tools) {
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
    const ValueMap* function = f.object("function");
    const std::string name =
        function != nullptr ? Fields(*function, "tool_choice.function").need_string("name") : f.need_string("name");
    const bool known = std::ranges::any_of(tools, [&](const Value& tool) {
        const auto* entry = tool.get<ValueMap>();
        const Value* found = freehold::find(*entry, "function.name");
        return found != nullptr && found->as_string() == name;
    });
    if (!known)
        fields.fail("tool_choice", fmt::format("tool_choice names \"{}\", which is not among the tools.", name));
    return ValueMap{{"type", "function"}, {"function", ValueMap{{"name", name}}}};
}

}  // namespace freehold::server
