// Our own routes: text to tokens and back, what a prompt looks like, the state of the server.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "chat_messages.h"
#include "common.h"
#include "created_model.h"
#include "freehold/server/guard.h"
#include "freehold/server/owner.h"

namespace freehold::server {
namespace {

Route row(const char* method, const char* pattern, Role role, const char* operation, Handler handler) {
    Route route;
    route.method = method;
    route.pattern = pattern;
    route.role = role;
    route.operation = operation;
    route.handler = std::move(handler);
    return route;
}

// Calls `use` with the model on a worker, now or once it is loaded; its errors go to the client.
void with_model(Service& service, const RequestPtr& http, const ResponderPtr& responder, const std::string& name,
                std::function<void(const ModelLease&)> use) {
    check_use(service.pool, name, http->principal.tenant, http->principal.models);
    service.pool.acquire(name,
                         [responder, use = std::move(use)](const ModelLease& lease, const std::exception_ptr& fault) {
                             try {
                                 if (fault) std::rethrow_exception(fault);
                                 use(lease);
                             } catch (...) {
                                 send_current_error(*responder);
                             }
                         });
}

std::vector<Token> read_ids(const Fields& fields, const char* name, const Tokenizer& tokenizer) {
    const ValueList* list = fields.list(name);
    if (list == nullptr) fields.fail(name, fmt::format("{} is missing.", name), "Give a list of token ids.");
    std::vector<Token> ids;
    for (const Value& item : *list) {
        const auto id = item.get<std::int64_t>() != nullptr ? item.as_int() : std::nullopt;
        if (!id || *id < 0 || *id >= tokenizer.size()) {
            fields.fail(name,
                        fmt::format("{} holds something that is no id from 0 to {}.", name, tokenizer.size() - 1));
        }
        ids.push_back(static_cast<Token>(*id));
    }
    return ids;
}

Value ids_json(const std::vector<Token>& ids) {
    return Value(std::vector<std::int32_t>(ids.begin(), ids.end()));
}

// {content | prompt | messages, add_special, parse_special, with_pieces}: the forms of llama.cpp and vLLM.
void tokenize(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    auto body = std::make_shared<const ValueMap>(read_body(*http));
    const Fields fields(*body);
    with_model(
        service, http, responder, fields.string("model").value_or(""), [body, responder](const ModelLease& lease) {
            const Fields f(*body);
            const LoadedModel& model = *lease->model;
            const Tokenizer& tokenizer = model.need_tokenizer();
            PromptFacts facts;
            if (f.has("messages")) {
                facts = encode_prompt(model, read_chat_prompt(f));
            } else {
                const bool of_vllm = f.has("prompt");
                facts.text = of_vllm ? f.need_string("prompt") : f.need_string("content");
                EncodeOptions options;
                options.add_special = f.boolean(of_vllm ? "add_special_tokens" : "add_special").value_or(of_vllm);
                options.parse_special = f.boolean("parse_special").value_or(true);
                facts.ids = tokenizer.encode(facts.text, options);
            }
            ValueMap out;
            if (f.boolean("with_pieces").value_or(false)) {
                ValueList list;
                for (const Token id : facts.ids)
                    list.push_back(ValueMap{{"id", Value(static_cast<std::int64_t>(id))},
                                            {"piece", Value(token_bytes(tokenizer, id))}});
                out.set("tokens", std::move(list));
            } else {
                out.set("tokens", ids_json(facts.ids));
            }
            if (f.boolean("return_token_strs").value_or(false)) {
                ValueList list;
                for (const Token id : facts.ids) list.emplace_back(token_bytes(tokenizer, id));
                out.set("token_strs", std::move(list));
            }
            out.set("count", static_cast<std::int64_t>(facts.ids.size()));
            if (lease->engine) out.set("max_model_len", lease->engine->context());
            send_json(*responder, 200, out);
        });
}

void detokenize(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    auto body = std::make_shared<const ValueMap>(read_body(*http));
    with_model(service, http, responder, Fields(*body).string("model").value_or(""),
               [body, responder](const ModelLease& lease) {
                   const Tokenizer& tokenizer = lease->model->need_tokenizer();
                   const std::string text = tokenizer.decode(read_ids(Fields(*body), "tokens", tokenizer), true);
                   // "content" is llama.cpp's word, "prompt" vLLM's.
                   send_json(*responder, 200, ValueMap{{"content", text}, {"prompt", text}});
               });
}

Value special(const Tokenizer& tokenizer, const std::optional<std::int32_t>& id) {
    if (!id) return {};
    return ValueMap{{"id", Value(static_cast<std::int64_t>(*id))}, {"text", Value(tokenizer.token(*id).text)}};
}

Value special_text(const Tokenizer& tokenizer, const std::optional<std::int32_t>& id) {
    return id ? Value(tokenizer.token(*id).text) : Value();
}

void tokenizer_info(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const std::string name(http->query("model").value_or(""));
    with_model(service, http, responder, name, [responder](const ModelLease& lease) {
        const LoadedModel& model = *lease->model;
        const Tokenizer& t = model.need_tokenizer();
        ValueMap out;
        out.set("model", lease.name());
        out.set("kind", std::string(t.kind()));
        out.set("pre", std::string(t.pre()));
        out.set("vocab_size", static_cast<std::int64_t>(t.size()));
        out.set("adds_bos", t.adds_bos());
        out.set("bos", special(t, t.bos()));
        out.set("eos", special(t, t.eos()));
        out.set("unk", special(t, t.unk()));
        out.set("pad", special(t, t.pad()));
        out.set("stop_ids", ids_json(model.stop_ids()));
        // As vLLM says them; evaluation harnesses look for these.
        out.set("bos_token", special_text(t, t.bos()));
        out.set("eos_token", special_text(t, t.eos()));
        out.set("unk_token", special_text(t, t.unk()));
        out.set("pad_token", special_text(t, t.pad()));
        const auto source = model.template_sources().find("default");
        out.set("chat_template", source == model.template_sources().end() ? Value() : Value(source->second));
        send_json(*responder, 200, out);
    });
}

void apply_template(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    auto body = std::make_shared<const ValueMap>(read_body(*http));
    const std::string name = Fields(*body).string("model").value_or("");
    with_model(service, http, responder, name, [body, responder, &service, name](const ModelLease& lease) {
        // As a conversation with that model would begin, with what it was created with.
        GenerationRequest request;
        request.model = name;
        request.prompts.emplace_back(read_chat_prompt(Fields(*body)));
        apply_created(service, request);
        const PromptFacts facts = encode_prompt(*lease->model, request.prompts.front());
        send_json(*responder, 200, ValueMap{{"prompt", facts.text}, {"tokens", ids_json(facts.ids)}});
    });
}

// --- the page's own -----------------------------------------------------------------------------------------------

void session(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const Principal& p = http->principal;
    ValueMap out;
    out.set("version", service.version);
    out.set("auth", service.gate.kind());
    out.set("role", p.roles.empty() ? std::string(role_name(p.role)) : p.roles);
    out.set("tenant", p.tenant);
    out.set("key_name", p.key_name);
    const std::string standard = service.pool.default_model();
    out.set("default_model", model_allowed(p.models, standard) ? standard : std::string());
    send_json(*responder, 200, out);
}

ValueMap licence_json(const Licence& licence) {
    return ValueMap{{"name", Value(licence.id)},
                    {"category", Value(std::string(licence_category_name(licence.category)))},
                    {"url", Value(licence.url)}};
}

ValueMap known_json(const KnownModel& known, const std::vector<LoadedInfo>& loaded) {
    // With an adapter it is the model below that lies in memory.
    const std::string name = known.model_name();
    const auto info = std::find_if(loaded.begin(), loaded.end(), [&](const auto& l) { return l.name == name; });
    const bool here = info != loaded.end();
    ValueMap out;
    out.set("name", known.name);
    out.set("digest", known.stored ? known.stored->digest : std::string());
    out.set("bytes", static_cast<std::int64_t>(known.stored ? known.stored->size : 0));
    const ModelRecord record = known.stored ? known.stored->record : ModelRecord{};
    out.set("licence", licence_json(record.licence));
    out.set("loaded", here);
    out.set("memory", static_cast<std::int64_t>(here ? info->memory : 0));
    // What is not loaded is told by its architecture; a base model shows only once it is.
    std::string kind = record.architecture.find("bert") != std::string::npos ? "embedding" : "chat";
    if (here) {
        const LoadedModel& model = *info->served->model;
        kind = info->served->engine == nullptr ? "embedding" : model.template_sources().empty() ? "base" : "chat";
    }
    out.set("kind", kind);
    out.set("context", static_cast<std::int64_t>(record.context));
    out.set("quantisation", record.quantisation);
    out.set("parameters", static_cast<std::int64_t>(record.parameters));
    out.set("architecture", record.architecture);
    if (known.adapter) {
        out.set("adapter", ValueMap{{"name", known.adapter->name.str()},
                                    {"model", name},
                                    {"digest", known.adapter->digest},
                                    {"bytes", static_cast<std::int64_t>(known.adapter->size)},
                                    {"parameters", static_cast<std::int64_t>(known.adapter->record.parameters)},
                                    {"licence", licence_json(known.adapter->record.licence)}});
    }
    if (here) {
        out.set("in_use", info->in_use);
        out.set("serving_context", info->served->engine ? info->served->engine->context() : 0);
        out.set("expires",
                info->expires
                    ? Value(std::chrono::duration_cast<std::chrono::seconds>(info->expires->time_since_epoch()).count())
                    : Value());
    }
    return out;
}

// What a version was made from, and that from what: manifest digests, with a name where it may be told.
ValueList lineage(const std::vector<std::string>& parents, const std::vector<StoredModel>& stored, const Principal& who,
                  int depth = 0) {
    constexpr int kDeepest = 16;
    ValueList list;
    if (depth == kDeepest) return list;
    for (const std::string& digest : parents) {
        ValueMap one{{"digest", digest}};
        for (const StoredModel& model : stored) {
            if (model.digest != digest) continue;
            if (may_use(who, {model.name.str(), model, {}})) one.set("name", model.name.str());
            one.set("parents", lineage(model.record.parents, stored, who, depth + 1));
            break;
        }
        list.push_back(std::move(one));
    }
    return list;
}

// Where a stored model came from and what lies on disk of it. Paths of this machine are not told.
void add_origin(ValueMap& out, const Store& store, const StoredModel& model, const Principal& who) {
    const ModelRecord& record = model.record;
    const auto n = [](std::uint64_t x) { return static_cast<std::int64_t>(x); };
    out.set("description", record.description);
    out.set("container", record.container);
    out.set("source", record.source.starts_with("file:") ? "a file of the server's machine" : record.source);
    out.set("source_revision", record.source_revision);
    out.set("created", record.created);
    out.set("panels", n(store.panel_bytes(model)));
    ValueList files;
    for (const StoredFile& file : model.files)
        files.push_back(ValueMap{{"path", file.path}, {"bytes", n(file.size)}, {"digest", file.digest}});
    out.set("files", std::move(files));
    const auto stored = store.list();
    out.set("parents", lineage(record.parents, stored, who));
    ValueList derived;
    for (const StoredModel& other : stored) {
        if (std::ranges::find(other.record.parents, model.digest) != other.record.parents.end() &&
            may_use(who, {other.name.str(), other, {}}))
            derived.emplace_back(other.name.str());
    }
    out.set("derived", std::move(derived));
}

void models(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const auto loaded = service.pool.loaded();
    ValueList list;
    for (const KnownModel& known : service.pool.known()) {
        if (may_use(http->principal, known)) list.push_back(known_json(known, loaded));
    }
    send_json(*responder, 200, list);
}

void model(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const KnownModel known = service.pool.resolve(http->param("name"));
    if (!may_use(http->principal, known))
        throw RequestError(404, ErrorKind::not_found, "There is no such model here.", {}, {}, "model_not_found");
    ValueMap out = known_json(known, service.pool.loaded());
    if (known.stored) add_origin(out, service.pool.store(), *known.stored, http->principal);
    send_json(*responder, 200, out);
}

void status(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const auto n = [](auto x) { return Value(static_cast<std::int64_t>(x)); };
    const auto loaded = service.pool.loaded();
    const GenerationStats stats = service.generator.stats();
    const MemoryBudget& memory = service.pool.host().memory();
    EngineStats sum;
    double decode_seconds = 0, decoded = 0;
    ValueList list;
    for (const LoadedInfo& info : loaded) {
        ValueMap one{{"name", info.name}, {"memory", n(info.memory)}, {"in_use", info.in_use}};
        if (info.served->engine) {
            const EngineStats s = info.served->engine->stats();
            sum.running += s.running;
            sum.waiting += s.waiting;
            sum.pages_used += s.pages_used;
            sum.pages_shared += s.pages_shared;
            sum.cached_tokens += s.cached_tokens;
            decode_seconds += s.decode_seconds;
            decoded += static_cast<double>(s.decoded_tokens);
            one.set("running", s.running);
        }
        // The sums are of the whole server; names are told of models only that this principal may use.
        if (may_use(http->principal, {info.name, info.served->stored, {}})) list.push_back(std::move(one));
    }
    ValueMap out;
    out.set("uptime_seconds",
            std::chrono::duration<double>(std::chrono::system_clock::now() - service.started).count());
    out.set("sealed", service.sealed);
    out.set("running", sum.running);
    out.set("waiting", stats.waiting + sum.waiting);
    out.set("decoded_tokens", static_cast<std::int64_t>(decoded));
    out.set("tokens_per_second", decode_seconds > 0 ? decoded / decode_seconds : 0.0);
    out.set("time_to_first_token",
            ValueMap{{"p50", service.metrics.quantile("freehold_time_to_first_token_seconds", 0.5)},
                     {"p99", service.metrics.quantile("freehold_time_to_first_token_seconds", 0.99)}});
    out.set("memory",
            ValueMap{{"resident", n(resident_bytes())}, {"budget", n(memory.limit())}, {"used", n(memory.used())}});
    out.set("cache", ValueMap{{"pages_used", n(sum.pages_used)},
                              {"pages_shared", n(sum.pages_shared)},
                              {"cached_tokens", n(sum.cached_tokens)}});
    const ServerCounts counts = service.counts ? service.counts() : ServerCounts{};
    out.set("requests",
            ValueMap{{"total", n(counts.requests)}, {"failed", n(stats.failed)}, {"cancelled", n(stats.cancelled)}});
    out.set("connections",
            ValueMap{{"open", n(counts.connections)}, {"active", n(counts.active)}, {"refused", n(counts.refused)}});
    out.set("models", std::move(list));
    send_json(*responder, 200, out);
}

constexpr const char* kJsonAnswer =
    R"json("responses": {"200": {"description": "The answer", "content": {"application/json": {"schema": {"type": "object"}}}}})json";

std::string operation(const char* id, const char* summary, const char* more = "") {
    return fmt::format(R"json({{"operationId": "{}", "tags": ["Freehold"], "summary": "{}", {}{}}})json", id, summary,
                       more, kJsonAnswer);
}

}  // namespace

std::vector<Route> local_routes(Service& service) {
    const auto bind = [&service](auto function) {
        return [&service, function](const RequestPtr& http, const ResponderPtr& responder) {
            function(service, http, responder);
        };
    };
    constexpr const char* kTokenize =
        R"json("requestBody": {"required": true, "content": {"application/json": {"schema":
 {"type": "object", "properties": {"model": {"type": "string"}, "content": {"type": "string"}, "prompt": {"type": "string"},
  "messages": {"type": "array", "items": {"$ref": "#/components/schemas/ChatMessage"}},
  "add_special": {"type": "boolean"}, "add_special_tokens": {"type": "boolean"}, "return_token_strs": {"type": "boolean"}, "parse_special": {"type": "boolean"},
  "with_pieces": {"type": "boolean"}}}}}}, )json";
    constexpr const char* kDetokenize =
        R"json("requestBody": {"required": true, "content": {"application/json": {"schema":
 {"type": "object", "required": ["tokens"], "properties": {"model": {"type": "string"},
  "tokens": {"type": "array", "items": {"type": "integer", "minimum": 0}}}}}}}, )json";
    constexpr const char* kTemplate =
        R"json("requestBody": {"required": true, "content": {"application/json": {"schema":
 {"type": "object", "required": ["messages"], "properties": {"model": {"type": "string"},
  "messages": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/ChatMessage"}},
  "tools": {"type": "array", "maxItems": 128, "items": {"$ref": "#/components/schemas/Tool"}}, "chat_template_kwargs": {"type": "object"}}}}}}, )json";
    constexpr const char* kName =
        R"json("parameters": [{"name": "name", "in": "path", "required": true, "schema": {"type": "string"}}], )json";
    constexpr const char* kModelQuery =
        R"json("parameters": [{"name": "model", "in": "query", "schema": {"type": "string"}}], )json";
    return {
        row("POST", "/tokenize", Role::user, operation("tokenize", "Text or messages to token ids", kTokenize).c_str(),
            bind(tokenize)),
        row("POST", "/detokenize", Role::user, operation("detokenize", "Token ids to text", kDetokenize).c_str(),
            bind(detokenize)),
        row("GET", "/tokenizer_info", Role::user,
            operation("tokenizerInfo", "What a tokenizer is", kModelQuery).c_str(), bind(tokenizer_info)),
        row("POST", "/apply-template", Role::user,
            operation("applyTemplate", "Messages to the prompt", kTemplate).c_str(), bind(apply_template)),
        row("GET", "/freehold/v1/session", Role::user, operation("session", "Who asks, and of what").c_str(),
            bind(session)),
        row("GET", "/freehold/v1/status", Role::operator_, operation("status", "State of the server").c_str(),
            bind(status)),
        row("GET", "/freehold/v1/models", Role::user, operation("localModels", "Models with their state").c_str(),
            bind(models)),
        row("GET", "/freehold/v1/models/{name...}", Role::user,
            operation("localModel", "One model with its state", kName).c_str(), bind(model)),
    };
}

}  // namespace freehold::server
