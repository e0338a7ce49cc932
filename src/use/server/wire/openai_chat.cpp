// POST /v1/chat/completions.
#include <fmt/format.h>

#include <map>

#include "chat_messages.h"
#include "common.h"

namespace freehold::server {
namespace {

struct Choice {
    std::string content, reasoning;
    bool any_content = false;
    ValueList logprobs;
    struct Call {
        std::string id, name, arguments;
    };
    std::map<int, Call> calls;
    std::string finish;
};

// One request on its way: gathers the answer, or streams it.
class ChatAnswer {
 public:
    ChatAnswer(ResponderPtr responder, const Fields& fields, bool wants_logprobs)
        : stream_(std::move(responder)),
          id_(fresh_id("chatcmpl-")),
          created_(unix_now()),
          streaming_(fields.boolean("stream").value_or(false)),
          wants_logprobs_(wants_logprobs) {
        stream_.responder()->note("response_id", Value(id_));
        include_usage_ = read_include_usage(fields, streaming_);
        timings_ = fields.boolean("timings_per_token").value_or(false);
    }

    void take(Event&& event) {
        std::visit([this](auto& e) { on(e); }, event);
    }

    [[nodiscard]] const ResponderPtr& responder() const { return stream_.responder(); }
    [[nodiscard]] bool streaming() const noexcept { return streaming_; }
    void held() { stream_.held(); }

 private:
    [[nodiscard]] ValueMap head(const char* object) const {
        ValueMap map;
        map.set("id", id_);
        map.set("object", object);
        map.set("created", created_);
        map.set("model", model_ ? model_.name() : std::string());
        map.set("system_fingerprint", model_ ? fingerprint() : std::string());
        return map;
    }
    [[nodiscard]] std::string fingerprint() const {
        const std::string& digest = model_->digest;
        return digest.size() > 19 ? "fp_" + digest.substr(7, 12) : "fp_freehold";
    }

    void chunk(std::uint32_t choice, ValueMap delta, const std::string* finish, Value logprobs) {
        stream_.open();
        ValueMap one;
        one.set("index", static_cast<std::int64_t>(choice));
        one.set("delta", std::move(delta));
        one.set("logprobs", std::move(logprobs));
        one.set("finish_reason", finish == nullptr ? Value() : Value(*finish));
        ValueMap map = head("chat.completion.chunk");
        map.set("choices", ValueList{Value(std::move(one))});
        if (include_usage_) map.set("usage", Value());
        stream_.data(map);
    }
    void say_role(std::uint32_t choice) {
        if (choices_.contains(choice)) return;
        choices_[choice];
        if (streaming_) chunk(choice, {{"role", "assistant"}, {"content", Value()}}, nullptr, {});
    }

    void on(const Started& started) { model_ = started.model; }

    void on(Delta& delta) {
        say_role(delta.choice);
        Choice& c = choices_[delta.choice];
        ValueList logprobs;
        if (wants_logprobs_) {
            for (const TokenPiece& piece : delta.tokens) logprobs.push_back(logprob_json(piece));
        }
        // Log-probabilities go with the first part of a delta.
        const auto take_logprobs = [&]() -> Value {
            if (!wants_logprobs_ || logprobs.empty()) return {};
            return ValueMap{{"content", std::exchange(logprobs, {})}, {"refusal", Value()}};
        };
        for (OutputDelta& part : delta.parts) {
            if (streaming_) {
                chunk(delta.choice, part_json(part), nullptr, take_logprobs());
            } else {
                gather(c, part);
            }
        }
        if (!streaming_) {
            for (Value& item : logprobs) c.logprobs.push_back(std::move(item));
        } else if (!logprobs.empty()) {
            chunk(delta.choice, {}, nullptr, take_logprobs());
        }
    }

    static ValueMap part_json(const OutputDelta& part) {
        switch (part.kind) {
            case OutputDelta::Kind::content:
                return {{"content", part.text}};
            case OutputDelta::Kind::reasoning:
                return {{"reasoning_content", part.text}};
            case OutputDelta::Kind::tool_call:
                return {{"tool_calls",
                         ValueList{ValueMap{{"index", part.index},
                                            {"id", part.id},
                                            {"type", "function"},
                                            {"function", ValueMap{{"name", part.name}, {"arguments", ""}}}}}}};
            case OutputDelta::Kind::tool_arguments:
                return {{"tool_calls",
                         ValueList{ValueMap{{"index", part.index}, {"function", ValueMap{{"arguments", part.text}}}}}}};
        }
        return {};
    }

    static void gather(Choice& c, const OutputDelta& part) {
        switch (part.kind) {
            case OutputDelta::Kind::content:
                c.content += part.text;
                c.any_content = true;
                break;
            case OutputDelta::Kind::reasoning:
                c.reasoning += part.text;
                break;
            case OutputDelta::Kind::tool_call:
                c.calls[part.index] = {part.id, part.name, {}};
                break;
            case OutputDelta::Kind::tool_arguments:
                c.calls[part.index].arguments += part.text;
                break;
        }
    }

    void on(const ChoiceDone& done) {
        say_role(done.choice);
        Choice& c = choices_[done.choice];
        c.finish = finish_reason(done);
        if (streaming_) chunk(done.choice, {}, &c.finish, {});
    }

    [[nodiscard]] Value choice_json(std::uint32_t index, Choice& c) const {
        ValueMap message;
        message.set("role", "assistant");
        message.set("content", c.any_content || c.calls.empty() ? Value(std::move(c.content)) : Value());
        message.set("refusal", Value());
        if (!c.reasoning.empty()) message.set("reasoning_content", std::move(c.reasoning));
        if (!c.calls.empty()) {
            ValueList calls;
            for (auto& [i, call] : c.calls) {
                calls.push_back(ValueMap{
                    {"id", call.id},
                    {"type", "function"},
                    {"function",
                     ValueMap{{"name", call.name}, {"arguments", call.arguments.empty() ? "{}" : call.arguments}}}});
            }
            message.set("tool_calls", std::move(calls));
        }
        ValueMap one;
        one.set("index", static_cast<std::int64_t>(index));
        one.set("message", std::move(message));
        one.set("logprobs",
                wants_logprobs_ ? Value(ValueMap{{"content", std::move(c.logprobs)}, {"refusal", Value()}}) : Value());
        one.set("finish_reason", c.finish);
        return one;
    }

    void on(const AllDone& all) {
        const std::string reason = all.cancelled      ? "cancelled"
                                   : choices_.empty() ? ""
                                                      : choices_.begin()->second.finish;
        if (model_) note_generation(*responder(), model_, all.usage, reason);
        if (all.cancelled) return stream_.fail(stopped_fault());
        if (streaming_) {
            stream_.open();
            if (include_usage_) {
                ValueMap map = head("chat.completion.chunk");
                map.set("choices", ValueList{});
                map.set("usage", usage_json(all.usage));
                map.set("timings", timings_json(all.usage));
                stream_.data(map);
            }
            stream_.raw("data: [DONE]\n\n");
            return stream_.close();
        }
        ValueList choices;
        for (auto& [index, choice] : choices_) choices.push_back(choice_json(index, choice));
        ValueMap map = head("chat.completion");
        map.set("choices", std::move(choices));
        map.set("usage", usage_json(all.usage));
        if (timings_) map.set("timings", timings_json(all.usage));
        send_json(*responder(), 200, map);
    }

    void on(const Failed& failed) { stream_.fail(failed.fault); }

    EventStream stream_;
    const std::string id_;
    const std::int64_t created_;
    const bool streaming_, wants_logprobs_;
    bool include_usage_ = false, timings_ = false;
    ModelLease model_;
    std::map<std::uint32_t, Choice> choices_;
};

void refuse_what_we_have_not(const Fields& fields) {
    if (const ValueList* modalities = fields.list("modalities")) {
        for (const Value& m : *modalities) {
            if (m.as_string() != "text")
                fields.fail("modalities", "modalities asks for something other than text.", "Models here write text.");
        }
    }
    if (fields.has("audio")) fields.fail("audio", "No model here speaks.", "Leave audio away.");
    if (fields.has("web_search_options"))
        fields.fail("web_search_options", "This server searches no web.", "Leave web_search_options away.");
    if (fields.boolean("echo").value_or(false))
        fields.fail("echo", "A conversation is not repeated in its answer.", "Leave echo away.");
    if (fields.boolean("store").value_or(false)) {
        fields.fail("store", "store is true, but answers of this endpoint are not kept.",
                    "Leave store away, or use /v1/responses, which keeps answers.");
    }
    if (fields.has("functions") || fields.has("function_call"))
        fields.fail("functions", "functions and function_call are the old form of tools.",
                    "Use tools and tool_choice.");
}

void chat(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    refuse_what_we_have_not(fields);
    GenerationRequest request;
    set_owner(*http, request);
    request.model = fields.string("model").value_or("");
    ChatPrompt prompt = read_chat_prompt(fields);
    request.tool_choice = read_tool_choice(fields, prompt.tools);
    // Tools that may not be called are not shown.
    if (request.tool_choice.as_string() == "none") prompt.tools.clear();
    request.prompts.emplace_back(std::move(prompt));
    read_sampling(fields, request);
    read_constraints(fields, service, request);
    request.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
    hold_to_tools(service, request);
    auto most = fields.integer("max_completion_tokens", -1, 1 << 30);
    if (!most) most = fields.integer("max_tokens", -1, 1 << 30);
    if (!most) most = fields.integer("n_predict", -1, 1 << 30);
    if (most && *most == 0) fields.fail("max_tokens", "max_tokens is 0.", "Ask for at least one token.");
    if (most && *most > 0) request.max_tokens = static_cast<int>(*most);
    const bool logprobs = fields.boolean("logprobs").value_or(false);
    const auto top = fields.integer("top_logprobs", 0, 20);
    if (top && *top > 0 && !logprobs) {
        fields.fail("top_logprobs", "top_logprobs is set, but logprobs is not.", "Set logprobs to true.");
    }
    if (logprobs) request.logprobs = static_cast<int>(top.value_or(0));
    request.parse_output = true;
    auto answer = std::make_shared<ChatAnswer>(responder, fields, logprobs);
    run_generation(service, responder, std::move(request), answer);
}

constexpr const char* kOperation = R"json({
"operationId": "createChatCompletion", "tags": ["OpenAI"], "summary": "Answer a conversation",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["messages"],
  "properties": {
    "model": {"type": "string"},
    "messages": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/ChatMessage"}},
    "stream": {"type": "boolean"},
    "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
    "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1073741824},
    "max_completion_tokens": {"type": "integer", "minimum": 1, "maximum": 1073741824},
    "n_predict": {"type": "integer", "minimum": 1, "maximum": 1073741824},
    "logprobs": {"type": "boolean"}, "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
    "timings_per_token": {"type": "boolean"}, "modalities": {"type": "array", "items": {"const": "text"}},
    "chat_template_kwargs": {"type": "object"}},
  "x-fields": ["sampling", "constraints", "tools"]}}}},
"responses": {"200": {"description": "The answer; with stream, chat.completion.chunk objects as server-sent events",
  "content": {"application/json": {"schema": {"type": "object", "required": ["id", "object", "created", "model", "choices"]}},
    "text/event-stream": {"schema": {"type": "string"}}}}}
})json";

}  // namespace

std::vector<Route> openai_chat_routes(Service& service) {
    Route route;
    route.method = "POST";
    route.pattern = "/v1/chat/completions";
    route.role = Role::user;
    route.handler = [&service](const RequestPtr& request, const ResponderPtr& responder) {
        chat(service, request, responder);
    };
    route.operation = kOperation;
    return {route};
}

}  // namespace freehold::server
