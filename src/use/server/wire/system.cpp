// What machines that watch the server ask: is it alive, does it take work, its numbers; and the table of all routes.
#include <algorithm>
#include <map>

#include "common.h"
#include "freehold/server/owner.h"
#include "freehold/server/readiness.h"

namespace freehold::server {
namespace {

Route io_route(const char* pattern, const char* operation,
               std::function<void(const RequestPtr&, const ResponderPtr&)> handler) {
    Route route;
    route.method = "GET";
    route.pattern = pattern;
    route.role = Role::everyone;
    route.where = Where::io;
    route.handler = std::move(handler);
    route.operation = operation;
    return route;
}

// What is true now, at each rendering.
void collect_gauges(Service& service) {
    Metrics& m = service.metrics;
    m.gauge("freehold_running", "Generations that have a place");
    m.gauge("freehold_waiting", "Generations that wait for one");
    m.gauge("freehold_model_memory_bytes", "Memory of a loaded model with its caches");
    m.gauge("freehold_memory_used_bytes", "Of the budget");
    m.gauge("freehold_memory_budget_bytes", "For models and caches");
    m.gauge("freehold_resident_bytes", "Of the process, as the system counts them");
    m.gauge("freehold_connections", "Open now");
    m.counter("freehold_engine_steps_total", "Passes of the engine");
    m.counter("freehold_engine_decoded_tokens_total", "Tokens chosen by the engine");
    m.on_collect([&service](Metrics& metrics) {
        const GenerationStats stats = service.generator.stats();
        metrics.set("freehold_running", {}, stats.running);
        metrics.set("freehold_waiting", {}, stats.waiting);
        MemoryBudget& memory = service.pool.host().memory();
        metrics.set("freehold_memory_used_bytes", {}, static_cast<double>(memory.used()));
        metrics.set("freehold_memory_budget_bytes", {}, static_cast<double>(memory.limit()));
        metrics.set("freehold_resident_bytes", {}, static_cast<double>(resident_bytes()));
        if (service.counts) metrics.set("freehold_connections", {}, static_cast<double>(service.counts().connections));
        for (const LoadedInfo& info : service.pool.loaded()) {
            const Labels model = {{"model", info.name}};
            metrics.set("freehold_model_memory_bytes", model, static_cast<double>(info.memory));
            if (!info.served->engine) continue;
            const EngineStats engine = info.served->engine->stats();
            metrics.set("freehold_engine_steps_total", model, static_cast<double>(engine.steps));
            metrics.set("freehold_engine_decoded_tokens_total", model, static_cast<double>(engine.decoded_tokens));
        }
    });
}

// A tenant's operator reads of the models that his tenant may use; who runs the machine reads of all that lie on it.
std::string metrics_for(Service& service, const Principal& who) {
    if (is_host(who.tenant)) return service.metrics.text();
    std::map<std::string, bool> seen;
    return service.metrics.text([&](const Labels& labels) {
        const auto model = std::ranges::find(labels, "model", &Labels::value_type::first);
        if (model == labels.end()) return true;
        const auto [it, fresh] = seen.try_emplace(model->second, false);
        if (!fresh) return it->second;
        try {
            it->second = may_use(who, service.pool.resolve(model->second));
        } catch (const Error&) {
            return false;  // removed meanwhile: nobody knows whose it was
        }
        return it->second;
    });
}

}  // namespace

std::vector<Route> system_routes(Service& service) {
    std::vector<Route> routes;
    collect_gauges(service);
    routes.push_back(io_route("/health",
                              R"json({"operationId": "health", "tags": ["System"], "summary": "Is the process alive",
"responses": {"200": {"description": "It is", "content": {"application/json": {"schema": {"type": "object"}}}}}})json",
                              [](const RequestPtr&, const ResponderPtr& responder) {
                                  send_json(*responder, 200, ValueMap{{"status", "ok"}});
                              }));
    routes.push_back(
        io_route("/ready",
                 R"json({"operationId": "ready", "tags": ["System"], "summary": "Does it take requests",
"responses": {"200": {"description": "It does"}, "503": {"description": "It is going down, or cannot record what it answers"}}})json",
                 [&service](const RequestPtr&, const ResponderPtr& responder) {
                     const bool down = service.draining && service.draining();
                     const auto* const gate = dynamic_cast<const Readiness*>(&service.gate);
                     const std::string closed = down || gate == nullptr ? std::string() : gate->not_ready();
                     ValueMap answer{{"status", down ? "draining" : closed.empty() ? "ready" : "not ready"}};
                     if (!closed.empty()) answer.set("reason", closed);
                     send_json(*responder, down || !closed.empty() ? 503 : 200, answer);
                 }));
    Route metrics;
    metrics.method = "GET";
    metrics.pattern = "/metrics";
    metrics.role = Role::operator_;  // names every model and counts everybody's tokens
    metrics.operation = R"json({"operationId": "metrics", "tags": ["System"], "summary": "Numbers for Prometheus",
"responses": {"200": {"description": "Text format 0.0.4", "content": {"text/plain": {"schema": {"type": "string"}}}}}})json";
    metrics.handler = [&service](const RequestPtr& http, const ResponderPtr& responder) {
        responder->send(200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
                        metrics_for(service, http->principal));
    };
    routes.push_back(std::move(metrics));
    return routes;
}

std::vector<Route> api_routes(Service& service) {
    std::vector<Route> all;
    for (auto* table : {openai_chat_routes, openai_completions_routes, openai_models_routes, openai_embeddings_routes,
                        openai_moderations_routes, openai_responses_routes, anthropic_routes, ollama_routes,
                        ollama_models_routes, ollama_embed_routes, local_routes, system_routes}) {
        for (Route& route : table(service)) all.push_back(std::move(route));
    }
    return all;
}

}  // namespace freehold::server
