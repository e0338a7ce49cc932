// Answers with the files of the page, which lie compressed inside the program.
// Nothing is read from disk, so no path can lead astray.
#include "page.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "freehold/store/catalogue.h"
#include "freehold/web/assets.h"

namespace freehold::cli {
namespace {

// RFC 9110, 12.5.3, as far as it matters here: gzip or * is named, and not with a weight of nothing.
bool takes_gzip(std::optional<std::string_view> header) {
    if (!header) return false;
    for (std::string_view rest = *header; !rest.empty();) {
        const std::size_t comma = rest.find(',');
        std::string word;
        for (const char c : rest.substr(0, comma)) {
            if (c != ' ' && c != '\t') word += c;
        }
        rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
        const std::string weight = word.substr(std::min(word.find(';'), word.size()));
        const std::string coding = word.substr(0, word.size() - weight.size());
        if (coding != "gzip" && coding != "*") continue;
        return weight.find_first_not_of(";q=0.") != std::string::npos || weight.empty();
    }
    return false;
}

std::string unpacked(const web::Asset& asset) {
    z_stream stream{};
    if (::inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        throw Error(ErrorKind::out_of_memory, "There is no memory to unpack the page.");
    std::string input(asset.gzip.begin(), asset.gzip.end());
    std::string all, piece(std::size_t{1} << 16U, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    int state = Z_OK;
    while (state == Z_OK) {
        stream.next_out = reinterpret_cast<Bytef*>(piece.data());
        stream.avail_out = static_cast<uInt>(piece.size());
        state = ::inflate(&stream, Z_NO_FLUSH);
        all.append(piece, 0, piece.size() - stream.avail_out);
    }
    ::inflateEnd(&stream);
    if (state != Z_STREAM_END) throw Error(ErrorKind::internal, "A file of the page inside the program is damaged.");
    return all;
}

void answer(const web::Asset& asset, const server::HttpRequest& request, server::Responder& responder) {
    server::Headers headers = {
        {"Content-Type", std::string(asset.content_type)},
        {"ETag", std::string(asset.etag)},
        {"Cache-Control", asset.immutable ? "public, max-age=31536000, immutable" : "no-cache"},
        {"Vary", "Accept-Encoding"},
        {"Content-Security-Policy", std::string(web::kContentSecurityPolicy)},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    const auto known = request.header("if-none-match");
    if (known && known->find(asset.etag) != std::string_view::npos) {
        responder.send(304, std::move(headers), {});
        return;
    }
    if (takes_gzip(request.header("accept-encoding"))) {
        headers.emplace_back("Content-Encoding", "gzip");
        responder.send(200, std::move(headers), std::string(asset.gzip.begin(), asset.gzip.end()));
    } else {
        responder.send(200, std::move(headers), unpacked(asset));
    }
}

server::Route row(const char* pattern, const char* id, const char* summary, const char* parameters = "") {
    server::Route route;
    route.method = "GET";
    route.pattern = pattern;
    route.role = server::Role::everyone;
    route.operation = fmt::format(
        R"json({{"operationId": "{}", "tags": ["Page"], "summary": "{}", {}"responses": {{"200": {{"description": "The file"}},
"304": {{"description": "The client has it"}}, "404": {{"description": "There is no such file"}}}}}})json",
        id, summary, parameters);
    route.handler = [](const server::RequestPtr& request, const server::ResponderPtr& responder) {
        const web::Asset* asset = web::find_asset(request->path);
        if (asset == nullptr) {
            throw Error(ErrorKind::not_found, "The page has no such file.",
                        "It may be of another version of the program; load the page again.");
        }
        answer(*asset, *request, *responder);
    };
    return route;
}

server::Route catalogue_row(const std::filesystem::path& home) {
    server::Route route;
    route.method = "GET";
    route.pattern = "/freehold/v1/catalogue";
    route.role = server::Role::user;
    route.operation =
        R"json({"operationId": "catalogue", "tags": ["Freehold"], "summary": "Models that can be fetched by name",
"responses": {"200": {"description": "The list", "content": {"application/json": {"schema": {"type": "object"}}}}}})json";
    route.handler = [home](const server::RequestPtr&, const server::ResponderPtr& responder) {
        const Catalogue catalogue = Catalogue::load(home);
        ValueList list;
        for (const CatalogueEntry& entry : catalogue.entries()) {
            list.push_back(ValueMap{
                {"name", entry.name},
                {"description", entry.description},
                {"good_for", entry.good_for},
                {"kind", entry.kind},
                {"bytes", Value(static_cast<std::int64_t>(entry.size()))},
                {"parameters", Value(static_cast<std::int64_t>(entry.parameters))},
                {"context", Value(static_cast<std::int64_t>(entry.context))},
                {"licence", ValueMap{{"name", Value(entry.licence.id)},
                                     {"category", Value(std::string(licence_category_name(entry.licence.category)))},
                                     {"url", Value(entry.licence.url)}}}});
        }
        server::send_json(*responder, 200, ValueMap{{"models", Value(std::move(list))}});
    };
    return route;
}

}  // namespace

std::vector<server::Route> page_routes(const std::filesystem::path& home) {
    std::vector<server::Route> routes;
    routes.push_back(row("/", "page", "The page"));
    routes.push_back(row(
        "/assets/{file}", "pageFile", "A file of the page",
        R"json("parameters": [{"name": "file", "in": "path", "required": true, "schema": {"type": "string"}}], )json"));
    routes.push_back(row("/licences.txt", "pageLicences", "Licences of what the page is made of"));
    routes.push_back(catalogue_row(home));
    return routes;
}

}  // namespace freehold::cli
