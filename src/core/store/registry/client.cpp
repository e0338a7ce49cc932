// Requests to a repository: the scheme, the way through 401 (Basic, Bearer, refresh tokens), manifests and blobs.
// A token lives for minutes, so every request may be asked for a new one in its middle.
#include "client.h"

#include <fmt/format.h>

#include <algorithm>

#include "../json.h"
#include "../layout.h"
#include "freehold/base/error.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"

namespace freehold::registry {
namespace {

constexpr const char* kAcceptManifest =
    "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

std::string host_name(const std::string& host) {
    const auto bracket = host.starts_with('[') ? host.find(']') : 0;
    return host.substr(0, host.find(':', bracket == std::string::npos ? 0 : bracket));
}

std::string query_value(std::string_view text) {
    std::string out = http::escape_path(text);
    for (auto slash = out.find('/'); slash != std::string::npos; slash = out.find('/', slash))
        out.replace(slash, 1, "%2F");
    return out;
}

std::string digest_of(const std::string& text) {
    return "sha256:" + sha256_hex(std::as_bytes(std::span(text)));
}

// {"errors":[{"code","message"}]} as one sentence, or nothing.
std::string what_it_says(const std::string& body) {
    try {
        const Value tree = parse_json(body, "the answer");
        const ValueMap* map = tree.get<ValueMap>();
        const Value* errors = map == nullptr ? nullptr : map->find("errors");
        if (errors == nullptr || errors->size() == 0) return {};
        const Value first = errors->at(0);
        const ValueMap* one = first.get<ValueMap>();
        if (one == nullptr) return {};
        const std::string code = json::text(*one, "code", "the answer", false);
        const std::string message = json::text(*one, "message", "the answer", false);
        return printable(code + (message.empty() ? "" : ": " + message), 300);
    } catch (const Error&) {
        return {};
    }
}

}  // namespace

Client::Client(Reference at, ClientOptions options) : at_(std::move(at)), options_(std::move(options)) {
    denied_hint_ = fmt::format(
        "Put user and password for {} into {} ({{\"auths\":{{\"{}\":{{\"username\":\"...\",\"password\":\"...\"}}}}}}, "
        "readable by you alone), or log in with docker, podman or oras.",
        at_.host, options_.credentials.empty() ? "registries.json of the store" : options_.credentials.string(),
        at_.host);
    base_ = "https://" + at_.api_host() + "/v2/";
    if (options_.plain_http || http::is_loopback(host_name(at_.host))) find_scheme();
}

// A registry on this machine, or one for which plain http was allowed, is spoken to by http unless it wants https.
void Client::find_scheme() {
    const std::string plain = "http://" + at_.api_host() + "/v2/";
    try {
        const http::Answer answer = http::send({plain, {}, options_.stall_seconds, options_.plain_http}, {});
        // What servers of Go say when they are spoken to without TLS.
        if (answer.status == 400 && answer.body.find("HTTPS") != std::string::npos) return;
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::network) throw;
        return;
    }
    base_ = plain;
}

std::string Client::url(std::string_view rest) const {
    return base_ + at_.name + std::string(rest);
}

http::Request Client::request(const std::string& url) const {
    http::Request out;
    out.url = url;
    out.stall_seconds = options_.stall_seconds;
    out.plain_http = options_.plain_http;
    out.denied_hint = denied_hint_;
    // Where an upload is sent elsewhere, its address is the permission: nobody else gets to see our credentials.
    if (http::check_url(url, options_.plain_http).origin() == http::check_url(base_, options_.plain_http).origin())
        out.authorize = [this](const std::string& challenge) { return authorize(challenge); };
    return out;
}

std::string Client::location(const http::Answer& answer, const std::string& asked) const {
    const std::string said = answer.header("location");
    if (said.empty())
        throw Error(ErrorKind::network, fmt::format("{} does not say where to send to.", http::shown(asked)),
                    "It is no registry by the OCI distribution specification.");
    if (said.find("://") != std::string::npos) {
        const http::Url to = http::check_url(said, options_.plain_http);
        if (to.scheme == "http" && base_.starts_with("https:"))
            throw Error(
                ErrorKind::network,
                fmt::format("{} sends uploads to plain http at {}, which is refused.", at_.host, http::shown(said)),
                "Whoever runs the registry must tell it that it is reached by https (X-Forwarded-Proto).");
        return said;
    }
    const http::Url from = http::check_url(asked, options_.plain_http);
    if (said.starts_with('/')) return from.origin() + said;
    const std::string path = from.rest.substr(0, from.rest.find('?'));
    return from.origin() + path.substr(0, path.rfind('/') + 1) + said;
}

std::string Client::authorize(const std::string& challenge) const {
    if (challenge.empty()) return secret_;
    if (!who_)
        who_ = find_credentials(
            at_.host, options_.credentials, options_.notice ? options_.notice : [](const auto&) {});
    secret_.clear();
    const auto challenges = parse_challenges(challenge);
    const auto of = [&](std::string_view scheme) {
        const auto it = std::ranges::find(challenges, scheme, &Challenge::scheme);
        return it == challenges.end() ? nullptr : &*it;
    };
    const Challenge* const bearer = of("bearer");
    if (bearer != nullptr && bearer->parameters.contains("realm")) {
        secret_ = "Bearer " + token(bearer->parameters);
    } else if (of("basic") != nullptr && *who_) {
        secret_ = "Basic " + base64((*who_)->user + ":" + (*who_)->password);
    }
    return secret_;
}

std::string Client::token(const std::map<std::string, std::string>& bearer) const {
    const auto said = [&](const char* key) {
        const auto it = bearer.find(key);
        return it == bearer.end() ? std::string() : it->second;
    };
    const std::string scope = fmt::format("repository:{}:{}", at_.name, options_.push ? "pull,push" : "pull");
    http::Request request;
    request.url = said("realm");
    request.stall_seconds = options_.stall_seconds;
    request.plain_http = options_.plain_http;
    static_cast<void>(http::check_url(request.url, request.plain_http));
    http::Outgoing outgoing;
    outgoing.attempts = 3;
    const bool refresh = *who_ && !(*who_)->identity_token.empty();
    std::string asked = fmt::format("service={}&scope={}", query_value(said("service")), query_value(scope));
    for (const std::string& name : options_.mount_from)
        asked += "&scope=" + query_value(fmt::format("repository:{}:pull", name));
    if (refresh) {
        outgoing.method = "POST";
        outgoing.lines.push_back("Content-Type: application/x-www-form-urlencoded");
        outgoing.text = fmt::format("grant_type=refresh_token&client_id=freehold&refresh_token={}&{}",
                                    query_value((*who_)->identity_token), asked);
    } else {
        request.url += (request.url.find('?') == std::string::npos ? "?" : "&") + asked;
        if (*who_) outgoing.lines.push_back("Authorization: Basic " + base64((*who_)->user + ":" + (*who_)->password));
    }
    const http::Answer answer = http::send(request, outgoing);
    if (answer.status == 401 || answer.status == 403)
        throw Error(ErrorKind::denied,
                    *who_ ? fmt::format("{} does not let {} in (password from {}).", at_.host, printable((*who_)->user),
                                        (*who_)->from)
                          : fmt::format("{} lets nobody in without a password.", at_.host),
                    denied_hint_);
    if (answer.status != 200)
        throw Error(
            ErrorKind::network,
            fmt::format("{} gives no token for {}: status {}.", http::shown(request.url), at_.host, answer.status),
            "Try again later.");
    const std::string what = http::shown(request.url);
    const Value tree = parse_json(answer.body, what);
    const ValueMap& map = json::object(tree, what, "the document");
    std::string text = json::text(map, "token", what, false);
    if (text.empty()) text = json::text(map, "access_token", what);
    if (std::ranges::any_of(text, [](char c) { return c <= 0x20 || c == 0x7f; }))
        throw Error(ErrorKind::bad_file, fmt::format("{}: the token holds characters that no token has.", what));
    return text;
}

Error Client::fault(const http::Answer& answer, const std::string& doing) const {
    const std::string says = what_it_says(answer.body);
    const std::string tail =
        says.empty() ? fmt::format("status {}", answer.status) : fmt::format("status {}, \"{}\"", answer.status, says);
    if (answer.status == 401 || answer.status == 403)
        return {ErrorKind::denied, fmt::format("{} {}: {}.", at_.host, doing, tail), denied_hint_};
    if (answer.status == 404)
        return {ErrorKind::not_found, fmt::format("{} {}: {}.", at_.host, doing, tail), "Check the spelling."};
    return {ErrorKind::network, fmt::format("{} {}: {}.", at_.host, doing, tail), "Try again later."};
}

std::optional<RemoteManifest> Client::find_manifest(const std::string& version) const {
    http::Outgoing outgoing;
    outgoing.lines = {kAcceptManifest};
    outgoing.max_answer = layout::kMaxManifest;
    outgoing.attempts = 3;
    http::Answer answer = http::send(request(url("/manifests/" + version)), outgoing);
    if (answer.status == 404) return std::nullopt;
    if (answer.status != 200) throw fault(answer, fmt::format("gives no manifest of {}", at_.name));
    RemoteManifest out;
    out.digest = digest_of(answer.body);
    const std::string said = answer.header("docker-content-digest");
    const std::string wanted = layout::is_digest(version) ? version : said;
    if (layout::is_digest(wanted) && wanted != out.digest)
        throw Error(ErrorKind::bad_file,
                    fmt::format("The manifest that {} sends for {} has the digest {}, not {}.", at_.host, at_.str(),
                                out.digest, wanted),
                    "The registry, or something on the way to it, is at fault; nothing was kept.");
    out.media_type = answer.header("content-type");
    out.media_type = out.media_type.substr(0, out.media_type.find(';'));
    out.text = std::move(answer.body);
    return out;
}

RemoteManifest Client::manifest(const std::string& version) const {
    if (auto found = find_manifest(version)) return *std::move(found);
    throw Error(ErrorKind::not_found, fmt::format("{} has no {}.", at_.host, at_.str()),
                "Check the spelling, and whether it is public.");
}

std::optional<std::uint64_t> Client::blob_size(const std::string& digest) const {
    http::Outgoing outgoing;
    outgoing.method = "HEAD";
    outgoing.attempts = 3;
    const http::Answer answer = http::send(request(url("/blobs/" + digest)), outgoing);
    if (answer.status == 404) return std::nullopt;
    if (answer.status != 200) throw fault(answer, fmt::format("does not say whether {} has a blob", at_.name));
    try {
        return std::stoull(answer.header("content-length"));
    } catch (const std::exception&) {
        return 0;
    }
}

std::string Client::small_blob(const std::string& digest, std::uint64_t size, std::uint64_t at_most) const {
    if (size > at_most)
        throw Error(ErrorKind::limit, fmt::format("{}: a part that should be small has {} bytes; {} is the most.",
                                                  at_.str(), size, at_most));
    http::Outgoing outgoing;
    outgoing.max_answer = at_most;
    outgoing.attempts = 3;
    http::Answer answer = http::send(request(url("/blobs/" + digest)), outgoing);
    if (answer.status != 200) throw fault(answer, fmt::format("does not send {} of {}", digest, at_.name));
    if (digest_of(answer.body) != digest)
        throw Error(ErrorKind::bad_file,
                    fmt::format("What {} sends for {} has the digest {}.", at_.host, digest, digest_of(answer.body)),
                    "The registry, or something on the way to it, is at fault; nothing was kept.");
    return std::move(answer.body);
}

http::Answer Client::put_manifest(const std::string& version, const std::string& text,
                                  const std::string& media_type) const {
    http::Outgoing outgoing;
    outgoing.method = "PUT";
    outgoing.lines = {"Content-Type: " + media_type};
    outgoing.text = text;
    outgoing.attempts = 3;
    http::Answer answer = http::send(request(url("/manifests/" + version)), outgoing);
    if (answer.status != 201) throw fault(answer, fmt::format("does not take the manifest of {}", at_.str()));
    const std::string said = answer.header("docker-content-digest");
    if (!said.empty() && said != digest_of(text))
        throw Error(ErrorKind::bad_file,
                    fmt::format("{} keeps the manifest of {} under {}, but its digest is {}.", at_.host, at_.str(),
                                printable(said), digest_of(text)),
                    "The registry is at fault; do not rely on what it has.");
    return answer;
}

}  // namespace freehold::registry
