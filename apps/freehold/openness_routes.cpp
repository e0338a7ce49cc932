// A report is made anew for each request: the store knows the digests, so that only headers and texts are read.
#include "openness_routes.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "freehold/openness/report.h"
#include "freehold/server/errors.h"
#include "freehold/server/owner.h"

namespace freehold::cli {
namespace {

void answer(const server::ModelPool& pool, const server::HttpRequest& request, server::Responder& responder) {
    const server::KnownModel known = pool.resolve(request.param("name"));
    if (!server::may_use(request.principal, known))
        throw server::RequestError(404, ErrorKind::not_found, "There is no such model here.", {}, {},
                                   "model_not_found");
    if (!known.stored)
        throw server::RequestError(404, ErrorKind::not_found,
                                   fmt::format("{} is not a model of the store.", known.name),
                                   "`freehold openness PATH` looks at files outside of it.", "name");
    const auto format = request.query("format").value_or("json");
    if (format != "json" && format != "html")
        throw server::RequestError(400, ErrorKind::usage, "format is neither \"json\" nor \"html\".", {}, "format");
    const Store& store = pool.store();
    const std::vector<openness::Report> reports = {openness::examine(
        openness::target_of_model(store, *known.stored), openness::own_public_key(store.home() / "attestations"))};
    if (format == "json") {
        server::send_json(responder, 200, openness::report_json(reports.front(), FREEHOLD_VERSION));
        return;
    }
    responder.send(
        200,
        {{"Content-Type", "text/html; charset=utf-8"},
         {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"},
         {"X-Content-Type-Options", "nosniff"},
         {"Referrer-Policy", "no-referrer"}},
        openness::report_html(reports, {}, FREEHOLD_VERSION,
                              fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))));
}

}  // namespace

std::vector<server::Route> openness_routes(const server::ModelPool& pool) {
    server::Route route;
    route.method = "GET";
    route.pattern = "/freehold/v1/openness/{name...}";
    route.role = server::Role::user;
    route.operation =
        R"json({"operationId": "openness", "tags": ["Freehold"], "summary": "Which parts of a model are open, under which terms",
"parameters": [{"name": "name", "in": "path", "required": true, "schema": {"type": "string"}},
{"name": "format", "in": "query", "schema": {"type": "string", "enum": ["json", "html"]}}],
"responses": {"200": {"description": "The report", "content": {"application/json": {"schema": {"type": "object"}},
"text/html": {"schema": {"type": "string"}}}}}})json";
    route.handler = [&pool](const server::RequestPtr& request, const server::ResponderPtr& responder) {
        answer(pool, *request, *responder);
    };
    return {std::move(route)};
}

}  // namespace freehold::cli
