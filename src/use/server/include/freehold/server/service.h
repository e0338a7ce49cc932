// What the handlers share, and the tables of routes that they make. apps/ joins the tables of all wings.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "freehold/server/gate.h"
#include "freehold/server/generation.h"
#include "freehold/server/http.h"
#include "freehold/server/metrics.h"
#include "freehold/server/model_pool.h"
#include "freehold/server/puller.h"
#include "freehold/server/response_store.h"
#include "freehold/server/server.h"
#include "freehold/store/pull.h"

namespace freehold::server {

struct Service {
    ModelPool& pool;
    Generator& generator;
    Workers& workers;
    Metrics& metrics;
    Gate& gate;
    std::string version;
    std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
    bool sealed = false;
    Puller* puller = nullptr;  // null: clients may not have models fetched
    // Set once the server runs; the routes of its state look at it.
    std::function<ServerCounts()> counts = {};
    std::function<bool()> draining = {};
    // Makes the engine's request obey response_format, grammar, json_schema and the like (a JSON value of the request).
    // Empty: this build cannot, and such requests are refused. Throws RequestError 400 for what cannot be honoured.
    struct ConstraintWish {
        enum class Kind { json_object, json_schema, regex, grammar, choice } kind = Kind::json_object;
        Value schema;                      // json_schema
        std::string text;                  // regex, grammar
        std::string param;                 // the field that asked for it
        bool strict = false;               // json_schema: closed objects, properties in the schema's order
        std::vector<std::string> choices;  // choice
    };
    std::function<ConstraintMaker(const ConstraintWish&)> constraints = {};
    // Holds calls of tools to their schemas, and to tool_choice. Empty: this build cannot; then `required` and a named
    // function are refused.
    struct ToolWish {
        ValueList tools;
        Value choice;
        bool parallel = true;
    };
    std::function<ConstraintMaker(const ToolWish&)> tools = {};
    // Where answers of /v1/responses are kept; null: in memory.
    std::shared_ptr<ResponseStore> responses = {};
    // Bytes of the largest file that a client may send for POST /api/create. Its routes take it when they are made.
    std::uint64_t most_blob = 1'000'000'000'000;
    // The most that a client who is no operator may ask for with keep_alive; -1 (for ever) becomes this.
    std::chrono::milliseconds longest_keep_alive = std::chrono::hours(24);
    // Looks at what clients sent before POST /api/create makes a model of it; a refusal puts it into quarantine/ of the
    // store. Empty: nobody looks.
    std::function<PullVerdict(const FetchedModel&)> vet = {};
};

// Fills `constraints` and `tools` from the grammars of core: masks that the sampler obeys.
void enable_constraints(Service& service);

// One table a file of wire/. `service` must outlive the server.
[[nodiscard]] std::vector<Route> openai_chat_routes(Service& service);
[[nodiscard]] std::vector<Route> openai_completions_routes(Service& service);
[[nodiscard]] std::vector<Route> openai_models_routes(Service& service);
[[nodiscard]] std::vector<Route> ollama_routes(Service& service);         // generate, chat
[[nodiscard]] std::vector<Route> ollama_models_routes(Service& service);  // tags, show, ps, pull, create, copy, delete
[[nodiscard]] std::vector<Route> openai_embeddings_routes(Service& service);  // and /v1/rerank
[[nodiscard]] std::vector<Route> openai_moderations_routes(Service& service);
[[nodiscard]] std::vector<Route> ollama_embed_routes(Service& service);
[[nodiscard]] std::vector<Route> openai_responses_routes(Service& service);
[[nodiscard]] std::vector<Route> anthropic_routes(Service& service);
[[nodiscard]] std::vector<Route> local_routes(Service& service);
[[nodiscard]] std::vector<Route> system_routes(Service& service);  // /health, /ready, /metrics
// GET /openapi.json, made from all rows (itself among them).
void add_openapi_route(std::vector<Route>& routes, const std::string& version);
// The document itself. Throws Error{internal} for an operation text that is no JSON object.
[[nodiscard]] Value openapi_document(const std::vector<Route>& routes, const std::string& version);
// All of the above and the other dialects of this module.
[[nodiscard]] std::vector<Route> api_routes(Service& service);

}  // namespace freehold::server
