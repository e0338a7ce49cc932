// HTTPS for the sources: small documents, and large files that can be resumed. Redirects are followed by hand, so that
// every hop keeps the rules: https only (http to loopback for tests and mirrors on this machine), no secrets to others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/progress.h"

namespace freehold::http {

struct Url {
    std::string scheme, host, port, rest;  // rest begins with '/' (path and query)
    [[nodiscard]] std::string origin() const { return scheme + "://" + host + (port.empty() ? "" : ":" + port); }
};
// Takes a URL apart and holds it against the rules. Error{usage} for what is no URL, Error{unsupported} for http to
// other machines, user:password@ and other schemes.
// `plain_http`: http to other machines too, because the user said so.
[[nodiscard]] Url check_url(std::string_view url, bool plain_http = false);
[[nodiscard]] bool is_loopback(std::string_view host);
[[nodiscard]] std::string escape_path(std::string_view path);
// Without user, password and query: for messages and records.
[[nodiscard]] std::string shown(std::string_view url);

struct Request {
    std::string url;
    std::string bearer;  // sent to the origin of `url` only, never along a redirect to another
    int stall_seconds = 60;
    bool plain_http = false;
    // In place of `bearer`: asked with an empty text before the first hop, and once with the WWW-Authenticate of a 401;
    // answers the value of Authorization, or nothing. Goes to the origin of `url` only.
    std::function<std::string(const std::string& challenge)> authorize = {};
    std::string denied_hint = {};  // the way out of a 401 or 403
};

using Headers = std::map<std::string, std::string>;  // names in lower case; the last of several wins

struct Answer {
    long status = 0;
    std::string body;
    Headers headers = {};
    [[nodiscard]] std::string header(const std::string& name) const {
        const auto it = headers.find(name);
        return it == headers.end() ? std::string() : it->second;
    }
};
// A small document, at most `max_bytes`. Statuses of 400 and above are returned, not thrown. Error{network}.
[[nodiscard]] Answer get(const Request& request, std::uint64_t max_bytes);

// What goes out with a request: a text, or a part of a file that is read while it is sent.
struct Outgoing {
    std::string method = {};              // empty: GET
    std::vector<std::string> lines = {};  // headers
    std::string text = {};
    std::filesystem::path file = {};
    std::uint64_t offset = 0, length = 0;          // of the file
    std::function<void(std::uint64_t)> sent = {};  // bytes of the body so far; may throw
    std::uint64_t max_answer = 4ULL << 20;         // a longer answer is Error{limit}
    int attempts = 1;                              // for what may be said twice
};
// One request of any method; every status comes back. Error{network}.
[[nodiscard]] Answer send(const Request& request, const Outgoing& outgoing);

// What a server says about a file before it is fetched.
struct Head {
    long status = 0;
    std::uint64_t size = 0;  // 0: not told
    std::string etag;
};
[[nodiscard]] Head head(const Request& request);

struct Download {
    std::uint64_t size = 0;
    std::string sha256;  // hex
    std::string etag;
};
struct DownloadOptions {
    std::uint64_t expected_size = 0;  // 0: not known
    std::string expected_sha256;      // empty: not known
    std::uint64_t max_bytes = 1ULL << 42;
    int attempts = 5;
    // The address names the content and `expected_sha256` judges it: what lies there is gone on with even when the
    // server sends nothing to tell versions apart by.
    bool content_addressed = false;
    std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};
// Fetches into `to` (a partial file; `to`.meta beside it remembers URL, ETag and size). What lies there from before is
// kept when the server still has the same content. Error{network|not_found|bad_file|limit|cancelled}.
[[nodiscard]] Download download(const Request& request, const std::filesystem::path& to,
                                const DownloadOptions& options);

}  // namespace freehold::http
