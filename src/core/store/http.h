// HTTPS for the sources: small documents, and large files that can be resumed. Redirects are followed by hand, so that
// every hop keeps the rules: https only (http to loopback for tests and mirrors on this machine), no secrets to others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
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
[[nodiscard]] Url check_url(std::string_view url);
[[nodiscard]] std::string escape_path(std::string_view path);
// Without user, password and query: for messages and records.
[[nodiscard]] std::string shown(std::string_view url);

struct Request {
    std::string url;
    std::string bearer;  // sent to the origin of `url` only, never along a redirect to another
    int stall_seconds = 60;
};

struct Answer {
    long status = 0;
    std::string body;
};
// A small document, at most `max_bytes`. Statuses of 400 and above are returned, not thrown. Error{network}.
[[nodiscard]] Answer get(const Request& request, std::uint64_t max_bytes);

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
    std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};
// Fetches into `to` (a partial file; `to`.meta beside it remembers URL, ETag and size). What lies there from before is
// kept when the server still has the same content. Error{network|not_found|bad_file|limit|cancelled}.
[[nodiscard]] Download download(const Request& request, const std::filesystem::path& to,
                                const DownloadOptions& options);

}  // namespace freehold::http
