// An OCI registry in memory, by the distribution specification 1.1 (unlike Debian's it keeps referrers and takes an
// upload up where it broke off), with the faults that a test wants.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "freehold/base/hash.h"
#include "freehold/base/value.h"
#include "support/http_server.h"

namespace freehold::testing {

inline std::string sha256_of(const std::string& text) {
    return "sha256:" + sha256_hex(std::as_bytes(std::span(text)));
}

class FakeRegistry {
 public:
    FakeRegistry() : server_([this](const HttpRequest& r) { return answer(r); }) {}

    // What a test may turn.
    int break_patches = 0;          // so many PATCHes keep half of what came, and fail
    bool forgets_uploads = false;   // GET on an upload is answered by 404
    bool keeps_referrers = true;    // else 404, and the client writes the index itself
    std::string least_chunk;        // OCI-Chunk-Min-Length
    std::string blobs_elsewhere;    // redirect GETs of blobs to this origin
    std::string uploads_elsewhere;  // Location of uploads on this origin
    std::string password;           // Basic, user "ann"; empty: open
    bool spoils_manifests = false;

    std::map<std::string, std::string> blobs, manifests;  // by digest; manifests by tag too
    std::map<std::string, std::string> uploads;
    std::vector<std::string> log;      // "METHOD path"
    std::vector<std::size_t> patches;  // sizes
    std::mutex mutex;

    [[nodiscard]] std::string host() const { return server_.url("").substr(7); }
    [[nodiscard]] std::string origin() const { return server_.url(""); }
    [[nodiscard]] std::string at(const std::string& name) const { return "oci:" + host() + "/" + name; }
    [[nodiscard]] const HttpServer& server() const { return server_; }

 private:
    static HttpReply reply(int status, std::vector<std::pair<std::string, std::string>> headers = {},
                           std::string body = {}) {
        HttpReply out;
        out.status = status;
        out.headers = std::move(headers);
        out.body = std::move(body);
        return out;
    }

    HttpReply answer(const HttpRequest& r) {
        const std::lock_guard lock(mutex);
        log.push_back(r.method + " " + r.path);
        if (!password.empty() && r.header("authorization") != password)
            return reply(401, {{"WWW-Authenticate", "Basic realm=\"here\""}});
        if (r.path == "/v2/") return reply(200);
        const std::string path = r.path.substr(0, r.path.find('?'));
        const std::string query = r.path.size() > path.size() ? r.path.substr(path.size() + 1) : "";
        if (const auto uploads_at = path.find("/blobs/uploads/"); uploads_at != std::string::npos)
            return upload(r, path.substr(uploads_at + 15), path.substr(0, uploads_at), query);
        if (const auto at = path.find("/blobs/"); at != std::string::npos) return blob(r, path.substr(at + 7));
        if (const auto at = path.find("/manifests/"); at != std::string::npos) return manifest(r, path.substr(at + 11));
        if (const auto at = path.find("/referrers/"); at != std::string::npos) return referrers(path.substr(at + 11));
        return reply(404);
    }

    HttpReply upload(const HttpRequest& r, const std::string& id, const std::string& base, const std::string& query) {
        if (r.method == "POST") {
            if (query.starts_with("mount=") && blobs.contains(query.substr(6, 71))) return reply(201);
            const std::string fresh = std::to_string(uploads.size() + 1);
            uploads[fresh];
            std::vector<std::pair<std::string, std::string>> headers{
                {"Location", uploads_elsewhere + base + "/blobs/uploads/" + fresh + "?state=1"}};
            if (!least_chunk.empty()) headers.emplace_back("OCI-Chunk-Min-Length", least_chunk);
            return reply(202, headers);
        }
        if (!uploads.contains(id) || (forgets_uploads && r.method == "GET")) return reply(404);
        std::string& have = uploads[id];
        const auto told = [&](int status) {
            return reply(status, {{"Location", base + "/blobs/uploads/" + id},
                                  {"Range", "0-" + std::to_string(have.empty() ? 0 : have.size() - 1)}});
        };
        if (r.method == "GET") return told(204);
        if (r.method == "PATCH") {
            patches.push_back(r.body.size());
            if (!r.header("content-range").starts_with(std::to_string(have.size()) + "-")) return told(416);
            if (break_patches > 0) {
                --break_patches;
                have += r.body.substr(0, r.body.size() / 2);
                return reply(503);
            }
            have += r.body;
            return told(202);
        }
        have += r.body;  // PUT
        const std::string digest = query.substr(query.find("sha256:"), 71);
        if (sha256_of(have) != digest)
            return reply(400, {}, R"({"errors":[{"code":"DIGEST_INVALID","message":"no"}]})");
        blobs[digest] = have;
        uploads.erase(id);
        return reply(201);
    }

    HttpReply blob(const HttpRequest& r, const std::string& digest) {
        if (!blobs.contains(digest)) return reply(404);
        if (r.method == "GET" && !blobs_elsewhere.empty())
            return reply(307, {{"Location", blobs_elsewhere + "/" + digest}});
        return serve_file(r, blobs[digest], "\"" + digest + "\"");
    }

    HttpReply manifest(const HttpRequest& r, const std::string& version) {
        if (r.method == "PUT") {
            const std::string digest = sha256_of(r.body);
            manifests[digest] = manifests[version] = r.body;
            std::vector<std::pair<std::string, std::string>> headers{{"Docker-Content-Digest", digest}};
            const Value tree = parse_json(r.body, "manifest");
            const Value* subject = find(*tree.get<ValueMap>(), "subject.digest");
            if (subject != nullptr && keeps_referrers)
                headers.emplace_back("OCI-Subject", std::string(*subject->as_string()));
            return reply(201, headers);
        }
        if (!manifests.contains(version)) return reply(404);
        std::string body = manifests[version];
        const std::string digest = sha256_of(body);
        if (spoils_manifests) body += " ";
        return reply(
            200, {{"Content-Type", "application/vnd.oci.image.manifest.v1+json"}, {"Docker-Content-Digest", digest}},
            body);
    }

    // One a page, with a link to the next.
    HttpReply referrers(const std::string& rest) {
        if (!keeps_referrers) return reply(404);
        const std::string subject = rest.substr(0, 71);
        std::vector<std::string> found;
        for (const auto& [version, text] : manifests) {
            const Value tree = parse_json(text, "manifest");
            const Value* of = find(*tree.get<ValueMap>(), "subject.digest");
            if (version.starts_with("sha256:") && of != nullptr && of->as_string() == subject) found.push_back(version);
        }
        const std::size_t page = rest.size() > 71 ? std::stoul(rest.substr(72)) : 0;
        std::string entries;
        if (page < found.size()) {
            const Value tree = parse_json(manifests[found[page]], "manifest");
            entries = R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":")" + found[page] +
                      R"(","artifactType":")" + std::string(*find(*tree.get<ValueMap>(), "artifactType")->as_string()) +
                      "\"}";
        }
        std::vector<std::pair<std::string, std::string>> headers;
        if (page + 1 < found.size())
            headers.emplace_back("Link",
                                 "</v2/x/referrers/" + subject + "-" + std::to_string(page + 1) + ">; rel=\"next\"");
        return reply(200, headers, R"({"schemaVersion":2,"manifests":[)" + entries + "]}");
    }

    HttpServer server_;
};

}  // namespace freehold::testing
