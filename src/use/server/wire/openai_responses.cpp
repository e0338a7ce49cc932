// /v1/responses: stateless and stored, streamed and in the background.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "chat_messages.h"
#include "created_model.h"
#include "freehold/server/owner.h"
#include "responses_answer.h"
#include "responses_input.h"

namespace freehold::server {
namespace {

// What the routes share: kept answers, and those that are being written in the background.
struct Desk {
    Desk(Service& s, std::shared_ptr<ResponseStore> kept) : service(s), store(std::move(kept)) {}
    Service& service;
    std::shared_ptr<ResponseStore> store;
    std::mutex mutex;
    std::map<std::string, std::weak_ptr<Generation>> running;  // by id
};
using DeskPtr = std::shared_ptr<Desk>;

RequestError unknown(const std::string& id) {
    return {404,
            ErrorKind::not_found,
            fmt::format("There is no response \"{}\".", id.substr(0, 80)),
            "Responses are kept for a while and for their own tenant only.",
            "response_id",
            "response_not_found"};
}

StoredResponse need(const DeskPtr& desk, const HttpRequest& http, const std::string& id) {
    auto found = desk->store->get(http.principal.tenant, id);
    if (!found) throw unknown(id);
    return std::move(*found);
}

void refuse_what_we_have_not(const Fields& fields) {
    if (fields.has("conversation"))
        fields.fail("conversation", "Conversations are not kept by this server.", "Use previous_response_id.");
    if (fields.has("prompt"))
        fields.fail("prompt", "Stored prompts do not exist here.", "Send instructions and input.");
    for (const char* name : {"response_format", "structured_outputs", "json_schema", "grammar", "guided_json",
                             "guided_regex", "guided_choice", "guided_grammar"}) {
        if (fields.has(name))
            fields.fail(name, fmt::format("{} is no field of this route, and it is not ignored.", name),
                        "The form of the answer is asked for with text.format.");
    }
    if (fields.string("truncation").value_or("disabled") != "disabled")
        fields.fail("truncation", "truncation can only be disabled: nothing of the input is left out silently.",
                    "Leave it away and shorten the input.");
}

// text.format as the response_format that constraints are read from.
void read_format(const Fields& fields, const Service& service, GenerationRequest& request) {
    const ValueMap* text = fields.object("text");
    const ValueMap* format = text != nullptr ? Fields(*text, "text").object("format") : nullptr;
    if (format == nullptr) return;
    ValueMap wish{{"response_format", Value(*format)}};
    read_constraints(Fields(wish, "text"), service, request);
}

ValueMap repeated(const Fields& fields, const Value& choice) {
    const auto or_null = [&](const char* name) {
        const Value* value = fields.find(name);
        return value != nullptr ? *value : Value();
    };
    const auto or_else = [&](const char* name, const Value& other) {
        const Value* value = fields.find(name);
        return value != nullptr ? *value : other;
    };
    ValueMap map;
    for (const char* name : {"instructions", "max_output_tokens", "previous_response_id", "user"})
        map.set(name, or_null(name));
    map.set("model", or_else("model", Value("")));
    map.set("parallel_tool_calls", or_else("parallel_tool_calls", Value(true)));
    map.set("reasoning", or_else("reasoning", Value(ValueMap{{"effort", Value()}, {"summary", Value()}})));
    map.set("store", or_else("store", Value(true)));
    map.set("temperature", or_else("temperature", Value(1.0)));
    map.set("top_p", or_else("top_p", Value(1.0)));
    map.set("top_logprobs", or_else("top_logprobs", Value(0)));
    map.set("text", or_else("text", Value(ValueMap{{"format", Value(ValueMap{{"type", Value("text")}})}})));
    map.set("tool_choice", choice.is_null() ? Value("auto") : or_else("tool_choice", Value("auto")));
    map.set("tools", or_else("tools", Value(ValueList{})));
    map.set("truncation", Value("disabled"));
    map.set("metadata", or_else("metadata", Value(ValueMap{})));
    return map;
}

struct Reading {
    GenerationRequest request;
    ResponseFacts facts;
};

Reading read(const DeskPtr& desk, const HttpRequest& http, const Fields& fields) {
    refuse_what_we_have_not(fields);
    Reading r;
    GenerationRequest& request = r.request;
    set_owner(http, request);
    request.model = fields.string("model").value_or("");
    ResponsesInput input = read_responses_input(fields);
    ResponseFacts& facts = r.facts;
    facts.tenant = http.principal.tenant;
    if (const auto id = fields.string("previous_response_id")) {
        const StoredResponse before = need(desk, http, *id);
        if (before.running)
            fields.fail("previous_response_id", fmt::format("The response \"{}\" is not finished.", *id),
                        "Wait for it.");
        facts.messages = before.messages;
    }
    facts.messages.insert(facts.messages.end(), input.messages.begin(), input.messages.end());
    facts.input = std::move(input.items);
    ChatPrompt prompt;
    if (const auto text = fields.string("instructions"))
        prompt.messages.emplace_back(ValueMap{{"role", Value("system")}, {"content", Value(*text)}});
    prompt.messages.insert(prompt.messages.end(), facts.messages.begin(), facts.messages.end());
    if (prompt.messages.empty()) fields.fail("input", "input is empty.", "Give a text or items.");
    prompt.tools = read_responses_tools(fields);
    request.tool_choice = read_tool_choice(fields, prompt.tools);
    if (request.tool_choice.as_string() == "none") prompt.tools.clear();
    if (const ValueMap* reasoning = fields.object("reasoning")) {
        if (const auto effort = Fields(*reasoning, "reasoning").string("effort")) {
            prompt.kwargs.set("reasoning_effort", Value(*effort));
            if (*effort != "none" && *effort != "minimal") prompt.thinking_field = "reasoning.effort";
            if (*effort == "none") prompt.kwargs.set("enable_thinking", Value(false));
        }
    }
    request.prompts.emplace_back(std::move(prompt));
    read_sampling(fields, request);
    request.n = 1;
    read_format(fields, desk->service, request);
    request.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
    if (const auto most = fields.integer("max_output_tokens", 1, 1 << 30)) request.max_tokens = static_cast<int>(*most);
    const auto include = fields.strings("include", 16);
    if (std::ranges::find(include, "message.output_text.logprobs") != include.end()) {
        facts.logprobs = true;
        request.logprobs = static_cast<int>(fields.integer("top_logprobs", 0, 20).value_or(0));
    }
    request.parse_output = true;
    facts.store = fields.boolean("store").value_or(true);
    facts.streaming = fields.boolean("stream").value_or(false);
    facts.background = fields.boolean("background").value_or(false);
    if (facts.background && !facts.store)
        fields.fail("background", "An answer in the background has to be stored.", "Leave store away.");
    if (facts.background && facts.streaming)
        fields.fail("background", "An answer in the background cannot be streamed here.", "Ask for it by its id.");
    facts.repeated = repeated(fields, request.tool_choice);
    return r;
}

void create(const DeskPtr& desk, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    Reading r = read(desk, *http, Fields(body));
    hold_to_tools(desk->service, r.request);
    const bool background = r.facts.background;
    auto answer = std::make_shared<ResponseAnswer>(background ? nullptr : responder, std::move(r.facts), desk->store);
    if (!background) return run_generation(desk->service, responder, std::move(r.request), answer);
    answer->keep_queued();
    const ValueMap queued = answer->object("queued");
    const std::string id = answer->id();
    const auto generation = desk->service.generator.start(std::move(r.request), [answer, desk, id](Event&& event) {
        const bool last = std::holds_alternative<AllDone>(event) || std::holds_alternative<Failed>(event);
        answer->take(std::move(event));
        if (!last) return;
        const std::lock_guard lock(desk->mutex);
        desk->running.erase(id);
    });
    {
        const std::lock_guard lock(desk->mutex);
        // It may be over already.
        if (const auto kept = desk->store->get(http->principal.tenant, id); kept && kept->running)
            desk->running[id] = generation;
    }
    responder->note("response_id", Value(id));
    send_json(*responder, 200, queued);
}

void retrieve(const DeskPtr& desk, const RequestPtr& http, const ResponderPtr& responder) {
    if (http->query("stream") == "true")
        throw field_error("stream", "A kept response cannot be streamed again.", "Ask for it without stream.");
    send_json(*responder, 200, need(desk, *http, http->param("id")).response);
}

void erase(const DeskPtr& desk, const RequestPtr& http, const ResponderPtr& responder) {
    const std::string id = http->param("id");
    if (!desk->store->erase(http->principal.tenant, id)) throw unknown(id);
    send_json(*responder, 200, ValueMap{{"id", Value(id)}, {"object", Value("response")}, {"deleted", Value(true)}});
}

void cancel(const DeskPtr& desk, const RequestPtr& http, const ResponderPtr& responder) {
    const std::string id = http->param("id");
    StoredResponse kept = need(desk, *http, id);
    const Value* background = kept.response.get<ValueMap>()->find("background");
    if (background == nullptr || !background->as_bool().value_or(false)) {
        throw RequestError(400, ErrorKind::usage, "Only a response in the background can be cancelled.",
                           "Close the connection of the others.", "response_id");
    }
    std::shared_ptr<Generation> generation;
    {
        const std::lock_guard lock(desk->mutex);
        if (const auto found = desk->running.find(id); found != desk->running.end()) generation = found->second.lock();
    }
    // Either it has just ended here, or it is written elsewhere.
    if (kept.running && !generation) kept = need(desk, *http, id);
    if (kept.running && !generation) {
        throw RequestError(409, ErrorKind::conflict, "Another replica of this server writes this response.",
                           "Wait for its end, or stop it there.", "response_id");
    }
    ValueMap object = *kept.response.get<ValueMap>();
    if (kept.running && generation) {
        generation->cancel();
        object.set("status", Value("cancelled"));
    }
    send_json(*responder, 200, object);
}

void input_items(const DeskPtr& desk, const RequestPtr& http, const ResponderPtr& responder) {
    ValueList items = need(desk, *http, http->param("id")).input;
    const std::string order(http->query("order").value_or("desc"));
    if (order != "asc" && order != "desc") throw field_error("order", "order is neither asc nor desc.");
    if (order == "desc") std::ranges::reverse(items);
    std::size_t limit = 20;
    if (const auto text = http->query("limit")) {
        const bool number =
            !text->empty() && text->size() < 4 && text->find_first_not_of("0123456789") == std::string_view::npos;
        limit = number ? static_cast<std::size_t>(std::stoi(std::string(*text))) : 0;
        if (limit < 1 || limit > 100) throw field_error("limit", "limit is no number from 1 to 100.");
    }
    const auto id_of = [](const Value& item) { return *item.get<ValueMap>()->find("id"); };
    if (const auto after = http->query("after")) {
        const auto found =
            std::ranges::find_if(items, [&](const Value& item) { return id_of(item).as_string() == *after; });
        if (found == items.end()) throw field_error("after", "after names no item of this response.");
        items.erase(items.begin(), found + 1);
    }
    const bool more = items.size() > limit;
    if (more) items.resize(limit);
    ValueMap list{{"object", Value("list")}};
    list.set("first_id", items.empty() ? Value() : id_of(items.front()));
    list.set("last_id", items.empty() ? Value() : id_of(items.back()));
    list.set("has_more", Value(more));
    list.set("data", Value(std::move(items)));
    send_json(*responder, 200, list);
}

void count(const DeskPtr& desk, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    auto request = std::make_shared<GenerationRequest>(read(desk, *http, Fields(body)).request);
    check_use(desk->service.pool, request->model, request->tenant, request->allowed_models);
    apply_created(desk->service, *request);
    desk->service.pool.acquire(
        request->model, [request, responder](const ModelLease& lease, const std::exception_ptr& fault) {
            try {
                if (fault) std::rethrow_exception(fault);
                const PromptFacts facts = encode_prompt(*lease->model, request->prompts.front());
                send_json(*responder, 200,
                          ValueMap{{"object", Value("response.input_tokens")},
                                   {"input_tokens", Value(static_cast<std::int64_t>(facts.ids.size()))}});
            } catch (...) {
                send_current_error(*responder);
            }
        });
}

constexpr const char* kBody = R"json("requestBody": {"required": true, "content": {"application/json": {"schema": {
  "type": "object", "required": ["input"], "properties": {"model": {"type": "string"},
    "input": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"oneOf": [
      {"type": "object", "required": ["role", "content"], "properties": {"type": {"const": "message"},
        "role": {"enum": ["user", "assistant", "system", "developer"]}, "content": {"oneOf": [{"type": "string"},
          {"type": "array", "items": {"type": "object", "required": ["type", "text"],
            "properties": {"type": {"enum": ["input_text", "output_text"]}, "text": {"type": "string"}}}}]}}},
      {"type": "object", "required": ["type", "call_id", "name", "arguments"], "properties": {
        "type": {"const": "function_call"}, "call_id": {"type": "string"}, "name": {"type": "string"},
        "arguments": {"type": "string"}}},
      {"type": "object", "required": ["type", "call_id", "output"], "properties": {
        "type": {"const": "function_call_output"}, "call_id": {"type": "string"}, "output": {"type": "string"}}}]}}]},
    "instructions": {"type": "string"}, "previous_response_id": {"type": "string"},
    "max_output_tokens": {"type": "integer", "minimum": 1, "maximum": 1073741824}, "stream": {"type": "boolean"},
    "store": {"type": "boolean"}, "background": {"type": "boolean"}, "truncation": {"const": "disabled"},
    "tools": {"type": "array", "items": {"type": "object", "required": ["type", "name"], "properties": {
      "type": {"const": "function"}, "name": {"type": "string", "minLength": 1}, "description": {"type": "string"},
      "parameters": {"$ref": "#/components/schemas/Schema"}, "strict": {"type": "boolean"}}}},
    "tool_choice": {"oneOf": [{"enum": ["none", "auto", "required"]}, {"type": "object", "required": ["type", "name"],
      "properties": {"type": {"const": "function"}, "name": {"type": "string"}}}]},
    "parallel_tool_calls": {"type": "boolean"},
    "text": {"type": "object", "properties": {"format": {"oneOf": [
      {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["text", "json_object"]}}},
      {"type": "object", "required": ["type", "schema"], "properties": {"type": {"const": "json_schema"},
        "name": {"type": "string"}, "schema": {"$ref": "#/components/schemas/Schema"},
        "strict": {"type": "boolean"}}}]}}},
    "reasoning": {"type": "object", "properties": {"effort": {"type": "string"}}}, "metadata": {"type": "object"},
    "include": {"type": "array", "maxItems": 16, "items": {"enum": ["message.output_text.logprobs"]}},
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20}},
  "x-fields": ["sampling"]}}}}, )json";

constexpr const char* kEvents = R"json(, "text/event-stream": {"schema": {"type": "string"}})json";

constexpr const char* kPages = R"json("parameters": [
  {"name": "order", "in": "query", "schema": {"enum": ["asc", "desc"]}},
  {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
  {"name": "after", "in": "query", "schema": {"type": "string"}}], )json";

std::string operation(const char* id, const char* summary, const char* more = "", const char* streams = "") {
    return fmt::format(
        R"({{"operationId": "{}", "tags": ["OpenAI"], "summary": "{}", {}"responses": {{"200": {{)"
        R"("description": "{}", "content": {{"application/json": {{"schema": {{"type": "object"}}}}{}}}}}}}}})",
        id, summary, more, summary, streams);
}

}  // namespace

std::vector<Route> openai_responses_routes(Service& service) {
    auto desk = std::make_shared<Desk>(service, service.responses ? service.responses : make_memory_response_store());
    std::vector<Route> routes;
    const auto row = [&](const char* method, const char* pattern, std::string text, auto* handler) {
        Route route;
        route.method = method;
        route.pattern = pattern;
        route.role = Role::user;
        route.operation = std::move(text);
        route.handler = [desk, handler](const RequestPtr& request, const ResponderPtr& responder) {
            handler(desk, request, responder);
        };
        routes.push_back(std::move(route));
    };
    row("POST", "/v1/responses", operation("createResponse", "Answer items, and keep the answer", kBody, kEvents),
        create);
    row("POST", "/v1/responses/input_tokens", operation("countResponseTokens", "Tokens of an input as a prompt", kBody),
        count);
    row("GET", "/v1/responses/{id}", operation("getResponse", "A kept response"), retrieve);
    row("DELETE", "/v1/responses/{id}", operation("deleteResponse", "Forgets a response"), erase);
    row("POST", "/v1/responses/{id}/cancel", operation("cancelResponse", "Stops a response in the background"), cancel);
    row("GET", "/v1/responses/{id}/input_items", operation("listInputItems", "What a response answers", kPages),
        input_items);
    return routes;
}

}  // namespace freehold::server
