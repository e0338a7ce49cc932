// Blocks to messages: results of tools become messages of their own, in the order in which they stand.
#include "anthropic_messages.h"

#include <fmt/format.h>

#include <map>

#include "chat_messages.h"

namespace freehold::server {
namespace {

class Reader {
 public:
    ValueList messages;

    void add(const Fields& fields) {
        const std::string& path = fields.path();
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
        each_object(*blocks, fields.path("content"), [&](const Fields& block) { add_block(block, role); });
        if (any_ || blocks->empty()) flush(role);
    }

 private:
    void add_block(const Fields& block, const std::string& role) {
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
            const std::string id = block.need_string("id"), name = block.need_string("name");
            const ValueMap* input = block.object("input");
            calls_.push_back(call_value(id, name, input != nullptr ? Value(*input) : Value(ValueMap{})));
            names_[id] = name;
            any_ = true;
        } else if (type == "tool_result" && role == "user") {
            if (any_) flush(role);
            const std::string id = block.need_string("tool_use_id");
            std::string content = content_text(block.find("content"), block.path("content"));
            if (block.boolean("is_error").value_or(false)) content = "Error: " + content;
            ValueMap result{{"role", Value("tool")}, {"tool_call_id", Value(id)}, {"content", Value(content)}};
            if (const auto name = names_.find(id); name != names_.end()) result.set("name", Value(name->second));
            messages.emplace_back(std::move(result));
        } else {
            block.fail("type",
                       fmt::format("{} is \"{}\", which cannot stand here.", block.path("type"), type.substr(0, 40)),
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
    return read_tool_list(fields, [](const Fields& tool) {
        if (tool.string("type").value_or("custom") != "custom")
            tool.fail("type", fmt::format("{} is a tool of Anthropic's servers.", tool.path("type")),
                      "Only tools with an input_schema can be called.");
        const ValueMap* schema = tool.object("input_schema");
        if (schema == nullptr) tool.fail("input_schema", fmt::format("{} is missing.", tool.path("input_schema")));
        return tool_value(tool, schema);
    });
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
    return choice_of(f.need_string("name"), tools, f, "name");
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
    if (const std::string system = content_text(fields.find("system"), "system"); !system.empty())
        reader.messages.emplace_back(ValueMap{{"role", Value("system")}, {"content", Value(system)}});
    const ValueList* messages = fields.list("messages");
    if (messages == nullptr || messages->empty())
        fields.fail("messages", "messages is missing or empty.", "Give a list of {role, content}.");
    each_object(*messages, "messages", [&](const Fields& message) { reader.add(message); });
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
        if (type == "enabled") prompt.thinking_field = "thinking";  // adaptive leaves it to the model
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
