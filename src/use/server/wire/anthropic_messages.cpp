// Blocks to messages: results of tools become messages of their own, in the order in which they stand.
#include "anthropic_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace freehold::server {
namespace {

// Text of a string or of a list of text blocks.
std::string text_of(const Value* content, const std::string& path) {
    if (content == nullptr || content->is_null()) return {};
    if (const auto text = content->as_string()) return std::string(*text);
    const auto* blocks = content->get<ValueList>();
    if (blocks == nullptr)
        throw field_error(path, fmt::format("{} is {}, not a string or a list of blocks.", path, type_of(*content)));
    std::string out;
    for (std::size_t i = 0; i < blocks->size(); ++i) {
        const std::string at = fmt::format("{}[{}]", path, i);
        const auto* map = (*blocks)[i].get<ValueMap>();
        if (map == nullptr) throw field_error(at, fmt::format("{} is no object.", at));
        const Fields block(*map, at);
        const std::string type = block.need_string("type");
        if (type != "text")
            block.fail("type", fmt::format("{}.type is \"{}\", which no model here takes.", at, type.substr(0, 40)),
                       "Send text.");
        out += block.need_string("text");
    }
    return out;
}

Value tool_call(const Fields& block) {
    const ValueMap* input = block.object("input");
    return ValueMap{{"id", Value(block.need_string("id"))},
                    {"type", Value("function")},
                    {"function", Value(ValueMap{{"name", Value(block.need_string("name"))},
                                                {"arguments", Value(input != nullptr ? *input : ValueMap{})}})}};
}

class Reader {
 public:
    ValueList messages;

    void add(const Value& message, const std::string& path) {
        const auto* map = message.get<ValueMap>();
        if (map == nullptr) throw field_error(path, fmt::format("{} is {}, not an object.", path, type_of(message)));
        const Fields fields(*map, path);
        const std::string role = fields.need_string("role");
        if (role != "user" && role != "assistant") {
            fields.fail("role", fmt::format("{}.role is \"{}\".", path, role.substr(0, 40)),
                        "Roles are user and assistant; the system prompt is a field of its own.");
        }
        const Value* content = fields.find("content");
        if (content == nullptr) fields.fail("content", fmt::format("{}.content is missing.", path));
        const auto* blocks = content->get<ValueList>();
        if (blocks == nullptr) {
            const auto text = content->as_string();
            if (!text)
                fields.fail("content", fmt::format("{}.content is {}.", path, type_of(*content)),
                            "Give a string or a list of blocks.");
            messages.emplace_back(ValueMap{{"role", Value(role)}, {"content", Value(std::string(*text))}});
            return;
        }
        text_.clear();
        thinking_.clear();
        calls_.clear();
        any_ = false;
        for (std::size_t i = 0; i < blocks->size(); ++i)
            add_block((*blocks)[i], role, fmt::format("{}.content[{}]", path, i));
        if (any_ || blocks->empty()) flush(role);
    }

 private:
    void add_block(const Value& value, const std::string& role, const std::string& path) {
        const auto* map = value.get<ValueMap>();
        if (map == nullptr) throw field_error(path, fmt::format("{} is no object.", path));
        const Fields block(*map, path);
        const std::string type = block.need_string("type");
        if (type == "text") {
            text_ += block.need_string("text");
            any_ = true;
        } else if (type == "thinking" && role == "assistant") {
            thinking_ += block.string("thinking").value_or("");
            any_ = true;
        } else if (type == "redacted_thinking" && role == "assistant") {
            any_ = true;  // sealed by somebody else; there is nothing in it for a model here
        } else if (type == "tool_use" && role == "assistant") {
            names_[block.need_string("id")] = block.need_string("name");
            calls_.push_back(tool_call(block));
            any_ = true;
        } else if (type == "tool_result" && role == "user") {
            if (any_) flush(role);
            const std::string id = block.need_string("tool_use_id");
            std::string content = text_of(block.find("content"), path + ".content");
            if (block.boolean("is_error").value_or(false)) content = "Error: " + content;
            ValueMap result{{"role", Value("tool")}, {"tool_call_id", Value(id)}, {"content", Value(content)}};
            if (const auto name = names_.find(id); name != names_.end()) result.set("name", Value(name->second));
            messages.emplace_back(std::move(result));
        } else {
            block.fail("type", fmt::format("{}.type is \"{}\", which cannot stand here.", path, type.substr(0, 40)),
                       "Blocks are text, tool_use and thinking of the assistant, and tool_result of the user.");
        }
    }
    void flush(const std::string& role) {
        ValueMap out{{"role", Value(role)}, {"content", Value(std::exchange(text_, {}))}};
        if (!thinking_.empty()) out.set("reasoning_content", Value(std::exchange(thinking_, {})));
        if (!calls_.empty()) out.set("tool_calls", Value(std::exchange(calls_, {})));
        messages.emplace_back(std::move(out));
        any_ = false;
    }

    std::string text_, thinking_;
    ValueList calls_;
    bool any_ = false;
    std::map<std::string, std::string> names_;  // of calls, by id
};

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
        if (tool.string("type").value_or("custom") != "custom")
            tool.fail("type", fmt::format("{}.type is a tool of Anthropic's servers.", path),
                      "Only tools with an input_schema can be called.");
        const ValueMap* schema = tool.object("input_schema");
        ValueMap function{{"name", Value(tool.need_string("name"))}};
        if (auto text = tool.string("description")) function.set("description", Value(std::move(*text)));
        if (schema == nullptr) tool.fail("input_schema", fmt::format("{}.input_schema is missing.", path));
        function.set("parameters", Value(*schema));
        if (const auto strict = tool.boolean("strict")) function.set("strict", Value(*strict));
        out.emplace_back(ValueMap{{"type", Value("function")}, {"function", Value(std::move(function))}});
    }
    return out;
}

Value read_choice(const Fields& fields, const ValueList& tools, GenerationRequest& request) {
    const ValueMap* choice = fields.object("tool_choice");
    if (choice == nullptr) return {};
    const Fields f(*choice, "tool_choice");
    const std::string type = f.need_string("type");
    if (f.boolean("disable_parallel_tool_use").value_or(false)) request.parallel_tool_calls = false;
    if (type == "auto" || type == "none") return type;
    if (type != "any" && type != "tool")
        f.fail("type", fmt::format("tool_choice.type is \"{}\".", type.substr(0, 40)),
               "It is auto, any, tool or none.");
    if (tools.empty()) f.fail("type", "tool_choice asks for a call, but there are no tools.");
    if (type == "any") return "required";
    const std::string name = f.need_string("name");
    const bool known = std::ranges::any_of(tools, [&](const Value& tool) {
        return freehold::find(*tool.get<ValueMap>(), "function.name")->as_string() == name;
    });
    if (!known)
        f.fail("name", fmt::format("tool_choice names \"{}\", which is not among the tools.", name.substr(0, 64)));
    return ValueMap{{"type", Value("function")}, {"function", Value(ValueMap{{"name", Value(name)}})}};
}

const char* error_type(int status) noexcept {
    switch (status) {
        case 401:
            return "authentication_error";
        case 403:
            return "permission_error";
        case 404:
            return "not_found_error";
        case 413:
            return "request_too_large";
        case 429:
            return "rate_limit_error";
        case 503:
        case 529:
            return "overloaded_error";
        default:
            return status < 500 ? "invalid_request_error" : "api_error";
    }
}

}  // namespace

GenerationRequest read_anthropic_prompt(const Fields& fields) {
    GenerationRequest request;
    request.model = fields.string("model").value_or("");
    ChatPrompt prompt;
    Reader reader;
    if (const std::string system = text_of(fields.find("system"), "system"); !system.empty())
        reader.messages.emplace_back(ValueMap{{"role", Value("system")}, {"content", Value(system)}});
    const ValueList* messages = fields.list("messages");
    if (messages == nullptr || messages->empty())
        fields.fail("messages", "messages is missing or empty.", "Give a list of {role, content}.");
    for (std::size_t i = 0; i < messages->size(); ++i) reader.add((*messages)[i], fmt::format("messages[{}]", i));
    prompt.messages = std::move(reader.messages);
    // An assistant's text at the end is the beginning of the answer.
    const auto* last = prompt.messages.back().get<ValueMap>();
    if (last->find("role")->as_string() == "assistant" && last->find("tool_calls") == nullptr &&
        prompt.messages.size() > 1) {
        prompt.prefill = std::string(last->find("content")->as_string().value_or(""));
        prompt.messages.pop_back();
    }
    prompt.tools = read_tools(fields);
    request.tool_choice = read_choice(fields, prompt.tools, request);
    if (request.tool_choice.as_string() == "none") prompt.tools.clear();
    if (const ValueMap* thinking = fields.object("thinking")) {
        const std::string type = Fields(*thinking, "thinking").need_string("type");
        if (type != "enabled" && type != "disabled" && type != "adaptive")
            fields.fail("thinking", "thinking.type is neither enabled, adaptive nor disabled.");
        prompt.kwargs.set("enable_thinking", Value(type != "disabled"));
    } else {
        prompt.kwargs.set("enable_thinking", Value(false));  // as there: who wants it asks for it
    }
    request.prompts.emplace_back(std::move(prompt));
    request.parse_output = true;
    return request;
}

Value anthropic_error_value(const ErrorFacts& facts) {
    ValueMap map{
        {"type", Value("error")},
        {"error", Value(ValueMap{{"type", Value(error_type(facts.status))}, {"message", Value(facts.message)}})}};
    if (!facts.request_id.empty()) map.set("request_id", Value(facts.request_id));
    return map;
}

std::string anthropic_error(const ErrorFacts& facts) {
    return to_json(anthropic_error_value(facts));
}

}  // namespace freehold::server
