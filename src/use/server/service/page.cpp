// Serving what lies in memory.
#include "freehold/server/page.h"

#include <string>

namespace freehold::server {
namespace {

// A strong tag among those of If-None-Match; the weak form of ours matches too.
bool has_tag(std::string_view list, std::string_view tag) {
    return list == "*" || list.find(tag) != std::string_view::npos;
}

bool takes_gzip(const HttpRequest& request) {
    const auto accepts = request.header("accept-encoding").value_or("");
    const auto at = accepts.find("gzip");
    return at != std::string_view::npos && accepts.substr(at).find("gzip;q=0,") != 0 &&
           accepts.substr(at) != "gzip;q=0";
}

void serve(const PageFile& file, const HttpRequest& request, Responder& responder) {
    Headers headers = {
        {"ETag", std::string(file.etag)},
        {"Cache-Control", file.immutable_name ? "public, max-age=31536000, immutable" : "no-cache"},
        {"Vary", "Accept-Encoding"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Content-Security-Policy", std::string(page_security_policy())},
    };
    if (has_tag(request.header("if-none-match").value_or(""), file.etag) && !file.etag.empty() &&
        request.header("if-none-match")) {
        return responder.send(304, std::move(headers), {});
    }
    headers.emplace_back("Content-Type", std::string(file.content_type));
    if (!file.gzip.empty() && takes_gzip(request)) {
        headers.emplace_back("Content-Encoding", "gzip");
        return responder.send(200, std::move(headers), std::string(file.gzip));
    }
    responder.send(200, std::move(headers), std::string(file.bytes));
}

}  // namespace

std::string_view page_security_policy() noexcept {
    return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
           "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'";
}

std::vector<Route> page_routes(std::span<const PageFile> files) {
    std::vector<Route> routes;
    for (const PageFile& file : files) {
        Route route;
        route.method = "GET";
        route.pattern = file.path;
        route.role = Role::everyone;
        route.where = Where::io;
        route.handler = [file](const RequestPtr& request, const ResponderPtr& responder) {
            serve(file, *request, *responder);
        };
        route.operation =
            R"json({"tags": ["Page"], "summary": "A file of the page", "responses": {"200": {"description": "The file"}}})json";
        routes.push_back(std::move(route));
    }
    return routes;
}

}  // namespace freehold::server
