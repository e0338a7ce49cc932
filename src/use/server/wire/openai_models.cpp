// GET /v1/models and /v1/models/{id}.
#include "common.h"
#include "freehold/server/owner.h"

namespace freehold::server {
namespace {

Value model_json(const KnownModel& known, std::int64_t created) {
    ValueMap map;
    map.set("id", known.name);
    map.set("object", "model");
    map.set("created", created);
    map.set("owned_by", "freehold");
    if (known.stored) {
        const ModelRecord& r = known.stored->record;
        map.set("meta", ValueMap{{"n_ctx_train", static_cast<std::int64_t>(r.context)},
                                 {"n_params", static_cast<std::int64_t>(r.parameters)},
                                 {"size", static_cast<std::int64_t>(known.stored->size)},
                                 {"quantisation", r.quantisation},
                                 {"digest", known.stored->digest}});
    }
    if (known.adapter) {
        map.set("parent", known.model_name());
        map.set("adapter", ValueMap{{"name", known.adapter->name.str()},
                                    {"digest", known.adapter->digest},
                                    {"n_params", static_cast<std::int64_t>(known.adapter->record.parameters)}});
    }
    return map;
}

}  // namespace

std::vector<Route> openai_models_routes(Service& service) {
    const auto created = std::chrono::duration_cast<std::chrono::seconds>(service.started.time_since_epoch()).count();
    Route list;
    list.method = "GET";
    list.pattern = "/v1/models";
    list.handler = [&service, created](const RequestPtr& request, const ResponderPtr& responder) {
        ValueList data;
        for (const KnownModel& known : service.pool.known()) {
            if (may_use(request->principal, known)) data.push_back(model_json(known, created));
        }
        send_json(*responder, 200, ValueMap{{"object", "list"}, {"data", std::move(data)}});
    };
    list.operation = R"json({"operationId": "listModels", "tags": ["OpenAI"], "summary": "List the models",
"responses": {"200": {"description": "The models that may be asked for", "content": {"application/json": {"schema":
  {"type": "object", "required": ["object", "data"]}}}}}})json";
    Route one;
    one.method = "GET";
    one.pattern = "/v1/models/{id...}";
    one.handler = [&service, created](const RequestPtr& request, const ResponderPtr& responder) {
        const KnownModel known = service.pool.resolve(request->param("id"));
        if (!may_use(request->principal, known)) {
            throw RequestError(404, ErrorKind::not_found, "There is no such model here.", {}, "model",
                               "model_not_found");
        }
        send_json(*responder, 200, model_json(known, created));
    };
    one.operation = R"json({"operationId": "retrieveModel", "tags": ["OpenAI"], "summary": "Show one model",
"parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
"responses": {"200": {"description": "The model", "content": {"application/json": {"schema": {"type": "object"}}}},
  "404": {"description": "No such model"}}})json";
    return {list, one};
}

}  // namespace freehold::server
