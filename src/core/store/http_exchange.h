// One HTTP exchange by libcurl, redirects and the question for credentials included; what http.cpp and http_send.cpp
// stand on. Every hop keeps the rules of http.h.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "http.h"

namespace freehold::http {

// What came back. The callbacks see the last answer only, not redirects and refusals on the way.
struct Transfer {
    long status = 0;
    Headers headers;
    std::function<void(const Transfer&)> on_headers;          // once, before the body; may throw
    std::function<void(std::span<const std::byte>)> on_body;  // may throw
    std::function<void()> on_tick;                            // now and then; may throw
};

// Throws for what the rules forbid, and what the callbacks throw. What libcurl says goes into `code`.
[[nodiscard]] Transfer exchange(const Request& request, const std::vector<std::string>& lines, const Outgoing& outgoing,
                                const Transfer& prototype, CURLcode& code);

[[nodiscard]] Error network_error(const std::string& url, CURLcode code, int stall_seconds);
// Is the same request worth another try after this status?
[[nodiscard]] bool worth_retrying(long status) noexcept;
[[nodiscard]] Error status_error(const Request& request, long status);

}  // namespace freehold::http
