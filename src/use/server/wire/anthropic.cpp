// POST /v1/messages and /v1/messages/count_tokens: Anthropic's dialect, its blocks and the order of its events.
#include <fmt/format.h>

#include "anthropic_messages.h"
#include "created_model.h"
#include "freehold/server/compiling.h"
#include "freehold/server/owner.h"

namespace freehold::server {
namespace {

Value usage_of(std::uint64_t input, std::uint64_t cached, std::uint64_t output) {
    const auto n = [](std::uint64_t x) { return Value(static_cast<std::int64_t>(x)); };
    // What came from the cache is counted apart there.
    return ValueMap{{"input_tokens", n(input - std::min(cached, input))},
                    {"cache_creation_input_tokens", Value(0)},
                    {"cache_read_input_tokens", n(cached)},
                    {"output_tokens", n(output)}};
}

// One block of the answer while it grows.
struct Block {
    OutputDelta::Kind kind = OutputDelta::Kind::content;
    int call = 0;
    std::string text, id, name;

    [[nodiscard]] Value json(bool begins) const {
        if (kind == OutputDelta::Kind::content)
            return ValueMap{{"type", Value("text")}, {"text", Value(begins ? "" : text)}};
        if (kind == OutputDelta::Kind::reasoning)
            return ValueMap{
                {"type", Value("thinking")}, {"thinking", Value(begins ? "" : text)}, {"signature", Value("")}};
        return ValueMap{
            {"type", Value("tool_use")}, {"id", Value(id)}, {"name", Value(name)}, {"input", input(begins)}};
    }

 private:
    [[nodiscard]] Value input(bool begins) const {
        if (begins || text.empty()) return ValueMap{};
        try {
            Value value = parse_json(text, "arguments");
            if (value.get<ValueMap>() != nullptr) return value;
        } catch (const Error&) {
            // A model may break off inside its arguments; the client gets what there is.
        }
        return ValueMap{{"INVALID_JSON", Value(text)}};
    }
};

class MessageAnswer {
 public:
    MessageAnswer(ResponderPtr responder, bool streaming)
        : stream_(std::move(responder)), id_(fresh_id("msg_")), streaming_(streaming) {
        stream_.responder()->note("response_id", Value(id_));
    }

    [[nodiscard]] bool streaming() const noexcept { return streaming_; }
    void held() {
        open();
        event("ping", {});
    }

    void take(Event&& event) {
        // NOLINTNEXTLINE(bugprone-branch-clone): clang-tidy 14 takes these branches for clones of each other.
        if (auto* started = std::get_if<Started>(&event)) {
            model_ = started->model;
            prompt_tokens_ = started->prompts->front().ids.size();
        } else if (auto* delta = std::get_if<Delta>(&event)) {
            for (OutputDelta& part : delta->parts) add(part);
        } else if (auto* done = std::get_if<ChoiceDone>(&event)) {
            close(*done);
        } else if (auto* all = std::get_if<AllDone>(&event)) {
            finish(*all);
        } else {
            fail(std::get<Failed>(event).fault);
        }
    }

 private:
    [[nodiscard]] ValueMap message(ValueList content, Value stop_reason, Value stop_sequence, Value usage) const {
        ValueMap map;
        map.set("id", id_);
        map.set("type", "message");
        map.set("role", "assistant");
        map.set("model", model_ ? model_.name() : std::string());
        map.set("content", std::move(content));
        map.set("stop_reason", std::move(stop_reason));
        map.set("stop_sequence", std::move(stop_sequence));
        map.set("usage", std::move(usage));
        return map;
    }

    void event(const char* type, ValueMap body) {
        ValueMap map{{"type", Value(type)}};
        for (const auto& [key, value] : body) map.set(key, value);
        stream_.named(type, map);
    }
    void open() {
        if (!streaming_ || stream_.responder()->begun()) return;
        stream_.open();
        event("message_start", {{"message", message({}, {}, {}, usage_of(prompt_tokens_, 0, 0))}});
    }
    [[nodiscard]] Value index() const { return Value(static_cast<std::int64_t>(blocks_.size()) - 1); }

    void begin_block(Block block) {
        end_block();
        blocks_.push_back(std::move(block));
        block_open_ = true;
        if (streaming_)
            event("content_block_start", {{"index", index()}, {"content_block", blocks_.back().json(true)}});
    }
    void end_block() {
        if (!std::exchange(block_open_, false) || !streaming_) return;
        if (blocks_.back().kind == OutputDelta::Kind::reasoning) {
            event("content_block_delta",
                  {{"index", index()},
                   {"delta", Value(ValueMap{{"type", Value("signature_delta")}, {"signature", Value("")}})}});
        }
        event("content_block_stop", {{"index", index()}});
    }

    void add(OutputDelta& part) {
        open();
        using Kind = OutputDelta::Kind;
        if (part.kind == Kind::tool_call) {
            Block block;
            block.kind = Kind::tool_arguments;
            block.call = part.index;
            block.id = std::move(part.id);
            block.name = std::move(part.name);
            return begin_block(std::move(block));
        }
        const bool goes_on = block_open_ && blocks_.back().kind == part.kind &&
                             (part.kind != Kind::tool_arguments || blocks_.back().call == part.index);
        if (!goes_on) {
            Block block;
            block.kind = part.kind;
            begin_block(std::move(block));
        }
        blocks_.back().text += part.text;
        if (!streaming_) return;
        const bool thinks = part.kind == Kind::reasoning;
        const char* type = thinks                              ? "thinking_delta"
                           : part.kind == Kind::tool_arguments ? "input_json_delta"
                                                               : "text_delta";
        const char* field = thinks ? "thinking" : part.kind == Kind::tool_arguments ? "partial_json" : "text";
        event("content_block_delta",
              {{"index", index()}, {"delta", Value(ValueMap{{"type", Value(type)}, {field, Value(part.text)}})}});
    }

    void close(const ChoiceDone& done) {
        open();
        end_block();
        stop_reason_ = done.withheld                         ? "refusal"
                       : done.stop_string                    ? "stop_sequence"
                       : done.finish == FinishReason::length ? "max_tokens"
                       : done.called_tools                   ? "tool_use"
                                                             : "end_turn";
        if (done.stop_string) stop_sequence_ = *done.stop_string;
    }

    void finish(const AllDone& all) {
        if (model_) note_generation(*stream_.responder(), model_, all.usage, stop_reason_);
        if (all.cancelled) return fail(stopped_fault());
        const Value usage = usage_of(all.usage.prompt_tokens, all.usage.cached_tokens, all.usage.completion_tokens);
        if (streaming_) {
            event("message_delta",
                  {{"delta", Value(ValueMap{{"stop_reason", Value(stop_reason_)}, {"stop_sequence", stop_sequence_}})},
                   {"usage", usage}});
            event("message_stop", {});
            return stream_.close();
        }
        ValueList content;
        for (const Block& block : blocks_) content.push_back(block.json(false));
        send_json(*stream_.responder(), 200, message(std::move(content), stop_reason_, stop_sequence_, usage));
    }

    void fail(const std::exception_ptr& fault) {
        Responder& responder = *stream_.responder();
        if (!responder.begun()) return send_error(responder, fault, anthropic_error);
        const ErrorFacts facts = error_facts(fault);
        responder.note("error", Value(std::string(kind_name(facts.kind))));
        stream_.named("error", anthropic_error_value(facts));
        stream_.close();
    }

    EventStream stream_;
    const std::string id_;
    const bool streaming_;
    ModelLease model_;
    std::size_t prompt_tokens_ = 0;
    std::vector<Block> blocks_;
    bool block_open_ = false;
    std::string stop_reason_ = "end_turn";
    Value stop_sequence_;
};

// output_config.format, or output_format as it was called before: a JSON schema that the answer obeys.
void read_output_format(const Fields& fields, const Service& service, GenerationRequest& request) {
    const ValueMap* format = fields.object("output_format");
    std::string path = "output_format";
    if (const ValueMap* config = fields.object("output_config")) {
        const Fields f(*config, "output_config");
        for (const ValueEntry& e : *config) {
            // effort: how much to think, which `thinking` says here.
            if (e.key != "format" && e.key != "effort" && !e.value.is_null())
                f.fail(e.key,
                       fmt::format("{} is not offered here, and it is not ignored.", f.path(e.key.substr(0, 60))),
                       "output_config.format takes a JSON schema.");
        }
        if (const ValueMap* inner = f.object("format")) {
            if (format != nullptr)
                fields.fail("output_format", "output_format and output_config.format contradict each other.");
            format = inner;
            path = "output_config.format";
        }
    }
    if (format == nullptr) return;
    const Fields f(*format, path);
    if (f.need_string("type") != "json_schema")
        f.fail("type", fmt::format("{}.type is not \"json_schema\".", path), "It is the only form that is taken.");
    const Value* schema = f.find("schema");
    if (schema == nullptr || schema->get<ValueMap>() == nullptr)
        f.fail("schema", fmt::format("{}.schema is no JSON schema.", path));
    if (!service.constraints) f.fail("type", fmt::format("{} cannot be honoured by this build.", path));
    Service::ConstraintWish wish;
    wish.kind = Service::ConstraintWish::Kind::json_schema;
    wish.schema = *schema;
    wish.param = path;
    const CompilingFor scope(request.tenant);
    request.constrain = service.constraints(wish);
}

void messages(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    GenerationRequest request = read_anthropic_prompt(fields);
    const auto most = fields.integer("max_tokens", 1, 1 << 30);
    if (!most) fields.fail("max_tokens", "max_tokens is missing.", "Say how long the answer may become.");
    request.max_tokens = static_cast<int>(*most);
    request.sampling.temperature = fields.real("temperature", 0, 100);
    request.sampling.top_p = fields.real("top_p", 0, 1);
    if (const auto k = fields.integer("top_k", 0, 1 << 30)) request.sampling.top_k = static_cast<int>(*k);
    request.stop = fields.strings("stop_sequences", 64);
    set_owner(*http, request);
    read_output_format(fields, service, request);
    const bool streaming = fields.boolean("stream").value_or(false);
    hold_to_tools(service, request);
    auto answer = std::make_shared<MessageAnswer>(responder, streaming);
    run_generation(service, responder, std::move(request), answer);
}

void count_tokens(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    auto request = std::make_shared<GenerationRequest>(read_anthropic_prompt(Fields(body)));
    set_owner(*http, *request);
    check_use(service.pool, request->model, request->tenant, request->allowed_models);
    apply_created(service, *request);
    service.pool.acquire(request->model, [request, responder](const ModelLease& lease,
                                                              const std::exception_ptr& fault) {
        try {
            if (fault) std::rethrow_exception(fault);
            const PromptFacts facts = encode_prompt(*lease->model, request->prompts.front());
            send_json(*responder, 200, ValueMap{{"input_tokens", Value(static_cast<std::int64_t>(facts.ids.size()))}});
        } catch (...) {
            send_current_error(*responder, anthropic_error);
        }
    });
}

constexpr const char* kMessages = R"json({
"operationId": "createMessage", "tags": ["Anthropic"], "summary": "Answer a conversation",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object",
  "required": ["messages", "max_tokens"], "properties": {
    "model": {"type": "string"}, "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1073741824},
    "messages": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["role", "content"],
      "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"oneOf": [{"type": "string"},
        {"type": "array", "minItems": 1, "items": {"oneOf": [
          {"type": "object", "required": ["type", "text"], "properties": {"type": {"const": "text"},
            "text": {"type": "string"}}},
          {"type": "object", "required": ["type", "id", "name", "input"], "properties": {"type": {"const": "tool_use"},
            "id": {"type": "string"}, "name": {"type": "string"}, "input": {"type": "object"}}},
          {"type": "object", "required": ["type", "tool_use_id"], "properties": {"type": {"const": "tool_result"},
            "tool_use_id": {"type": "string"}, "content": {"type": "string"}, "is_error": {"type": "boolean"}}}]}}]}}}},
    "system": {"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/TextParts"}]},
    "stop_sequences": {"type": "array", "items": {"type": "string"}},
    "output_config": {"type": "object", "additionalProperties": false, "properties": {"effort": {"type": "string"},
      "format": {"type": "object", "required": ["type", "schema"], "properties": {"type": {"const": "json_schema"},
        "schema": {"$ref": "#/components/schemas/Schema"}}}}},
    "stream": {"type": "boolean"}, "temperature": {"type": "number", "minimum": 0, "maximum": 100},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1}, "top_k": {"type": "integer", "minimum": 0},
    "tools": {"type": "array", "items": {"type": "object", "required": ["name", "input_schema"], "properties": {
      "name": {"type": "string", "minLength": 1}, "description": {"type": "string"},
      "input_schema": {"$ref": "#/components/schemas/Schema"}}}},
    "tool_choice": {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["auto", "any", "tool", "none"]},
      "name": {"type": "string"}}},
    "thinking": {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["enabled", "disabled"]},
      "budget_tokens": {"type": "integer", "minimum": 1024}}}, "metadata": {"type": "object"}}}}}},
"responses": {"200": {"description": "The message; with stream, its events", "content": {
  "application/json": {"schema": {"type": "object", "required": ["id", "type", "role", "content", "usage"]}},
  "text/event-stream": {"schema": {"type": "string"}}}}}
})json";

constexpr const char* kCount = R"json({
"operationId": "countMessageTokens", "tags": ["Anthropic"], "summary": "Tokens of a conversation as a prompt",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["messages"],
  "properties": {"model": {"type": "string"}, "messages": {"type": "array", "minItems": 1}}}}}},
"responses": {"200": {"description": "Their number", "content": {"application/json": {"schema": {"type": "object",
  "required": ["input_tokens"], "properties": {"input_tokens": {"type": "integer"}}}}}}}
})json";

}  // namespace

std::vector<Route> anthropic_routes(Service& service) {
    const auto row = [&service](const char* pattern, const char* operation, auto* handler) {
        Route route;
        route.method = "POST";
        route.pattern = pattern;
        route.role = Role::user;
        route.error = anthropic_error;
        route.operation = operation;
        route.handler = [&service, handler](const RequestPtr& request, const ResponderPtr& responder) {
            handler(service, request, responder);
        };
        return route;
    };
    return {row("/v1/messages", kMessages, messages), row("/v1/messages/count_tokens", kCount, count_tokens)};
}

}  // namespace freehold::server
