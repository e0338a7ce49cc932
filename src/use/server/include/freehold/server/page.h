// Files of the page as routes: whole in memory, compressed beforehand, with the headers that keep a page on its own
// origin.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "freehold/server/http.h"

namespace freehold::server {

// All views must live as long as the routes (usually they are part of the program).
struct PageFile {
    std::string_view path;          // "/assets/main.js"; "/" is the page itself
    std::string_view content_type;  // "text/javascript; charset=utf-8"
    std::string_view etag;          // quoted, strong
    std::string_view bytes;
    std::string_view gzip;        // the same compressed; empty: not worth it
    bool immutable_name = false;  // its name changes with its content: may be kept for ever
};

// "default-src 'none'; script-src 'self'; ..." : nothing from elsewhere, no inline script, in no frame.
[[nodiscard]] std::string_view page_security_policy() noexcept;
// One GET row a file, for everyone: the page itself holds no secrets and asks for a key.
[[nodiscard]] std::vector<Route> page_routes(std::span<const PageFile> files);

}  // namespace freehold::server
