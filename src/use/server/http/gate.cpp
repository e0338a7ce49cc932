// The gate of a server without keys, and the checks that every gate makes.
#include "freehold/server/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/server/errors.h"

namespace freehold::server {
namespace {

// "localhost:8080", "[::1]:8080" without the port.
std::string_view host_name(std::string_view host) noexcept {
    if (host.starts_with('[')) return host.substr(0, std::min(host.find(']') + 1, host.size()));
    return host.substr(0, std::min(host.find(':'), host.size()));
}

class LoopbackGate final : public Gate {
 public:
    explicit LoopbackGate(bool insecure) : insecure_(insecure) {}

    Principal admit(const HttpRequest& request, const Route& route) override {
        Principal open;
        open.role = Role::operator_;
        if (route.role == Role::everyone) return open;
        if (!insecure_) {
            if (!request.peer_is_loopback || has_forwarding_header(request)) {
                throw RequestError(401, ErrorKind::denied,
                                   "This server has no keys yet, so it answers only programs on its own machine.",
                                   "Make a key with `freehold key create NAME`, or call it directly on 127.0.0.1.");
            }
            if (!host_is_local(request)) {
                throw RequestError(403, ErrorKind::denied,
                                   fmt::format("The Host header names \"{}\", which is not this machine.",
                                               std::string(request.header("host").value_or("")).substr(0, 100)),
                                   "Call it as localhost or 127.0.0.1; other names need keys.");
            }
        }
        check_origin(request, route);
        return open;
    }

    void check_listen(const std::string& address, bool is_loopback) const override {
        if (is_loopback || insecure_) return;
        throw Error(ErrorKind::denied,
                    fmt::format("{} is not a loopback address, and there are no keys: everybody who reaches it could "
                                "use this server.",
                                address),
                    "Make a key with `freehold key create NAME`, listen on 127.0.0.1, or say --insecure-no-keys.");
    }

    const char* kind() const noexcept override { return "open"; }

 private:
    bool insecure_;
};

}  // namespace

bool host_is_local(const HttpRequest& request) {
    const auto host = request.header("host");
    if (!host) return true;  // HTTP/1.0; browsers always send one
    const std::string_view name = host_name(*host);
    // An address, not a name that begins like one.
    const bool loopback = name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string_view::npos;
    return name == "localhost" || name == "[::1]" || loopback || name.ends_with(".localhost");
}

bool has_forwarding_header(const HttpRequest& request) noexcept {
    constexpr std::array kNames = {"forwarded",         "x-forwarded-for", "x-forwarded-host",
                                   "x-forwarded-proto", "x-real-ip",       "via"};
    return std::ranges::any_of(kNames, [&](const char* name) { return request.header(name).has_value(); });
}

void check_origin(const HttpRequest& request, const Route& route) {
    if (route.method == "GET" || route.method == "HEAD") return;
    if (const auto origin = request.header("origin")) {
        const std::string own =
            (request.tls ? "https://" : "http://") + std::string(request.header("host").value_or(""));
        if (*origin != own) {
            throw RequestError(
                403, ErrorKind::denied,
                fmt::format("A page of {} may not change anything here.", std::string(*origin).substr(0, 100)),
                "Only this server's own page and programs may.");
        }
    }
    // Forms of foreign pages can send these types without asking; JSON they cannot.
    const std::string type = request.content_type();
    const bool form =
        type == "text/plain" || type == "application/x-www-form-urlencoded" || type == "multipart/form-data";
    if (!route.accepts_any_type && form && request.header("sec-fetch-site")) {
        throw RequestError(415, ErrorKind::usage, fmt::format("A body of type {} is not taken here.", type),
                           "Send JSON with Content-Type: application/json.");
    }
}

std::unique_ptr<Gate> make_loopback_gate(bool insecure) {
    return std::make_unique<LoopbackGate>(insecure);
}

}  // namespace freehold::server
