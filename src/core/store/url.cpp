// Taking URLs apart, and the rule which of them may be opened: https anywhere, http on this machine only.
// Everything that is not plainly allowed is refused, since addresses also come from catalogues and redirects.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "http.h"

namespace freehold::http {

bool is_loopback(std::string_view host) {
    if (host == "localhost" || host == "[::1]") return true;
    if (!host.starts_with("127.")) return false;
    return std::count(host.begin(), host.end(), '.') == 3 &&
           std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

Url check_url(std::string_view url, bool plain_http) {
    const auto refuse = [&](ErrorKind kind, const std::string& why, const std::string& hint) {
        return Error(kind, fmt::format("The address {} is refused: {}.", shown(url), why), hint);
    };
    Url out;
    const auto colon = url.find("://");
    if (colon == std::string_view::npos)
        throw refuse(ErrorKind::usage, "it has no scheme", "Write it as https://host/path.");
    for (const char c : url) {
        const auto u = static_cast<unsigned char>(c);
        if (u <= 0x20 || u >= 0x7f || c == '\\')
            throw refuse(ErrorKind::usage, "it holds a space or a character that must be written with %",
                         "Encode it, e.g. %20.");
    }
    for (const char c : url.substr(0, colon))
        out.scheme += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::string_view after = url.substr(colon + 3);
    after = after.substr(0, after.find('#'));
    const auto path_at = std::min(after.find_first_of("/?"), after.size());
    std::string_view authority = after.substr(0, path_at);
    const std::string_view rest = after.substr(path_at);
    if (!rest.starts_with('/')) out.rest.push_back('/');
    out.rest += rest;
    if (authority.find('@') != std::string_view::npos)
        throw refuse(ErrorKind::unsupported, "it carries a user name or password",
                     "Use a token instead (HF_TOKEN), or a public address.");
    const bool v6 = authority.starts_with('[');
    const auto port_at = v6 ? authority.find(':', authority.find(']')) : authority.find(':');
    for (const char c : authority.substr(0, port_at))
        out.host += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (port_at != std::string_view::npos) out.port = std::string(authority.substr(port_at + 1));
    if (out.host.empty() || !std::all_of(out.port.begin(), out.port.end(), [](char c) { return c >= '0' && c <= '9'; }))
        throw refuse(ErrorKind::usage, "its host or port cannot be read", "Write it as https://host[:port]/path.");
    if (out.scheme == "https") return out;
    if (out.scheme == "http" && (plain_http || is_loopback(out.host))) return out;
    if (out.scheme == "http")
        throw refuse(ErrorKind::unsupported, "plain http can be read and changed on its way",
                     "Use https. Plain http is for servers on this machine only (127.0.0.1, localhost).");
    throw refuse(ErrorKind::unsupported, fmt::format("the scheme {} is not one of ours", out.scheme), "Use https://.");
}

std::string escape_path(std::string_view path) {
    std::string out;
    for (const char c : path) {
        const auto u = static_cast<unsigned char>(c);
        if (std::isalnum(u) != 0 || c == '-' || c == '_' || c == '.' || c == '~' || c == '/') {
            out += c;
        } else {
            out += fmt::format("%{:02X}", u);
        }
    }
    return out;
}

std::string shown(std::string_view url) {
    std::string out = printable(url.substr(0, url.find_first_of("?#")), 300);
    const auto scheme = out.find("://");
    const auto at = out.find('@');
    if (scheme != std::string::npos && at != std::string::npos && out.find('/', scheme + 3) > at)
        out.erase(scheme + 3, at - scheme - 2);
    return out;
}

}  // namespace freehold::http
