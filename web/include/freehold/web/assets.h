// The page that the server shows, as files inside the program: made from web/src when the program is built.
// The server answers each path with its bytes and the headers below; it asks nothing of what is in them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace freehold::web {

struct Asset {
    std::string_view path;               // as the browser asks: "/", "/assets/main-HASH.js"
    std::string_view content_type;       // "text/html; charset=utf-8"
    std::string_view etag;               // with its quotes: "\"9f86d081884c7d65\"", of the bytes before compression
    std::span<const std::uint8_t> gzip;  // RFC 1952; send it with Content-Encoding: gzip
    // Its name carries its hash, so it may be kept for ever; the others are asked for again with their etag.
    bool immutable = false;
};

// Every file, in the order of their paths; the bytes live as long as the program.
[[nodiscard]] std::span<const Asset> web_assets() noexcept;

// nullptr when there is no such file.
[[nodiscard]] const Asset* find_asset(std::string_view path) noexcept;

// False when the program was built without node and npm: "/" is then one page that says how to build the other.
[[nodiscard]] bool has_page() noexcept;

// What "Content-Security-Policy" must be for every one of them: no inline code or style, no address but this server's,
// no frame around it, and HTML only from DOMPurify's policy (Trusted Types).
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify";

}  // namespace freehold::web
