// The order at the door: a key that was sent decides alone; else a trusted proxy's word; else the open door of a
// machine without keys. What is unclear (two keys, two user headers) is refused.
#include "freehold/access/door.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/printable.h"

namespace freehold::access {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// The name in a Host header, without port and brackets, in lower case; empty when behind the brackets is no port.
std::string host_name(std::string_view host) {
    if (host.starts_with('[')) {
        const auto end = host.find(']');
        if (end == std::string_view::npos || (end + 1 < host.size() && host[end + 1] != ':')) return {};
        return lower(host.substr(1, end - 1));
    }
    return lower(host.substr(0, std::min(host.find(':'), host.size())));
}

// A name that another party can make lead to this machine is what DNS rebinding needs; an address is none.
bool host_is_safe(std::string_view host, const std::vector<std::string>& names) {
    const std::string name = host_name(host);
    if (name == "localhost" || name.ends_with(".localhost")) return true;
    if (std::ranges::any_of(names, [&](const std::string& own) { return own == "*" || lower(own) == name; }))
        return true;
    try {
        static_cast<void>(Network::parse(name));
        return name != "unix" && name.find('/') == std::string::npos;
    } catch (const Error&) {
        return false;
    }
}

// The secret that came, from Authorization or x-api-key; nullopt: none came.
std::optional<std::string> secret_of(const Arrival& arrival) {
    const char* const hint = "Send one key: `Authorization: Bearer fh_...`, or `x-api-key: fh_...`.";
    if (arrival.several("authorization") || arrival.several("x-api-key"))
        throw Refusal(Why::who_are_you, "More than one key was sent.", hint);
    const auto own = arrival.header("x-api-key");
    const auto standard = arrival.header("authorization");
    std::optional<std::string> secret;
    if (standard) {
        const std::string_view value = trimmed(*standard);
        const std::size_t space = std::min(value.find(' '), value.size());
        if (lower(value.substr(0, space)) != "bearer") {
            throw Refusal(Why::who_are_you, "The Authorization header is not of the kind Bearer.", hint);
        }
        secret = std::string(trimmed(value.substr(space)));
    }
    if (own) {
        const std::string key(trimmed(*own));
        if (secret && *secret != key) throw Refusal(Why::who_are_you, "Two different keys were sent.", hint);
        secret = key;
    }
    return secret;
}

}  // namespace

std::optional<std::string_view> Arrival::header(std::string_view name) const noexcept {
    for (const auto& [key, value] : headers) {
        if (key == name) return value;
    }
    return std::nullopt;
}

bool Arrival::several(std::string_view name) const noexcept {
    return std::ranges::count_if(headers, [&](const auto& entry) { return entry.first == name; }) > 1;
}

bool was_forwarded(const Arrival& arrival) noexcept {
    constexpr std::array<std::string_view, 9> kNames = {"forwarded",
                                                        "via",
                                                        "x-real-ip",
                                                        "x-client-ip",
                                                        "cf-connecting-ip",
                                                        "true-client-ip",
                                                        "x-cluster-client-ip",
                                                        "x-original-url",
                                                        "x-envoy-external-address"};
    return std::ranges::any_of(arrival.headers, [&](const auto& entry) {
        return entry.first.starts_with("x-forwarded") || std::ranges::find(kNames, entry.first) != kNames.end();
    });
}

std::optional<Principal> Door::signed_in(const Arrival& arrival) const {
    const ProxySignIn& proxy = options_.proxy;
    if (proxy.proxies.empty() || !arrival.header(proxy.user_header)) return std::nullopt;
    const bool trusted =
        std::ranges::any_of(proxy.proxies, [&](const Network& network) { return network.contains(arrival.peer); });
    // From anybody else the header is a claim, and no more than that.
    if (!trusted) return std::nullopt;
    if (arrival.several(proxy.user_header) || arrival.several(proxy.groups_header) ||
        (!proxy.tenant_header.empty() && arrival.several(proxy.tenant_header))) {
        throw Refusal(Why::who_are_you, "The proxy sent a sign-in header twice.",
                      "Let the proxy remove these headers from what its clients send.");
    }
    const std::string user(trimmed(*arrival.header(proxy.user_header)));
    if (user.empty() || user.size() > 200 || printable(user) != user)
        throw Refusal(Why::who_are_you, "The proxy named no person.", "Sign in at the proxy.");
    Principal who;
    who.how = Principal::How::proxy;
    who.name = user;
    who.tenant = proxy.tenant;
    if (!proxy.tenant_header.empty()) {
        const auto tenant = arrival.header(proxy.tenant_header);
        if (!tenant) throw Refusal(Why::may_not, fmt::format("The proxy named no tenant for \"{}\".", user));
        who.tenant = checked_tenant(trimmed(*tenant));
    }
    who.key_id = fmt::format("proxy:{}/{}", who.tenant, user);
    who.limits = proxy.limits;
    who.models = proxy.models;
    std::string_view rest = arrival.header(proxy.groups_header).value_or("");
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(proxy.separator), rest.size());
        const auto group = proxy.groups.find(std::string(trimmed(rest.substr(0, end))));
        if (group != proxy.groups.end()) {
            for (const Role role : {Role::user, Role::operator_, Role::auditor}) {
                if (group->second.has(role)) who.roles.add(role);
            }
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (who.roles.empty()) {
        throw Refusal(Why::may_not, fmt::format("\"{}\" is in no group that may use this server.", user),
                      "Whoever runs this server maps groups to roles in its configuration.");
    }
    return who;
}

Principal Door::admit(const Arrival& arrival) const {
    if (const auto secret = secret_of(arrival)) {
        // In front of an open door a client's made-up key ("none", "ollama") is no reason to refuse it; one that looks
        // like ours is checked.
        if (!open() || secret->starts_with("fh_")) {
            check_page(arrival, true);
            return keys_.authenticate(*secret);
        }
    }
    check_page(arrival, false);
    if (auto who = signed_in(arrival)) return std::move(*who);
    if (!open()) {
        throw Refusal(Why::who_are_you, "This server needs a key.",
                      "Send `Authorization: Bearer fh_...`; whoever runs the server makes one with `freehold key "
                      "create NAME`.");
    }
    if (!options_.open_without_keys) {
        if (!is_loopback(arrival.peer)) {
            throw Refusal(Why::who_are_you, "This server has no keys yet, so it answers only its own machine.",
                          "Make a key there with `freehold key create NAME`.");
        }
        if (was_forwarded(arrival)) {
            throw Refusal(Why::who_are_you,
                          "This request was passed on by a proxy, and this server has no keys yet to tell people "
                          "apart.",
                          "Make a key with `freehold key create NAME`, or configure the proxy's sign-in.");
        }
    }
    Principal who;
    // Strangers of a server that was opened on purpose may use its models, not manage them.
    const bool here = is_loopback(arrival.peer) && !was_forwarded(arrival) && !keys_.ever_made();
    who.roles = here ? RoleSet::all() : RoleSet{Role::user};
    who.name = here ? "local" : "anybody";
    return who;
}

void Door::check_page(const Arrival& arrival, bool keyed) const {
    // A page cannot send a key that it does not know: what follows guards callers who are let in for where they are.
    if (keyed) return;
    const auto host = arrival.header("host");
    if (arrival.several("host") || (host && !options_.open_without_keys && !host_is_safe(*host, options_.hosts))) {
        throw Refusal(Why::may_not,
                      fmt::format("The Host header names \"{}\", which is no name of this server.",
                                  printable(host.value_or(""), 100)),
                      "Call it as localhost or by its address, or list the name under hosts in the configuration.");
    }
    if (!arrival.changes) return;
    const auto origin = arrival.header("origin");
    if (origin) {
        const std::string own = (arrival.tls ? "https://" : "http://") + std::string(host.value_or(""));
        if (*origin != own && !allowed_origin(arrival)) {
            throw Refusal(Why::may_not,
                          fmt::format("A page of {} may not change anything here.", printable(*origin, 100)),
                          "Only the server's own page may; others are listed under origins in the configuration.");
        }
    } else if (const auto site = arrival.header("sec-fetch-site"); site && *site != "same-origin" && *site != "none") {
        throw Refusal(Why::may_not, "A page of another site may not change anything here.",
                      "Only the server's own page may.");
    }
    if (arrival.any_body_type) return;
    // The three types that a form of any page can send without asking first. Programs that are no browser send them
    // too (curl -d), and tell no origin.
    const std::string sent = lower(arrival.header("content-type").value_or(""));
    const std::string type(trimmed(std::string_view(sent).substr(0, sent.find(';'))));
    const bool form =
        type == "text/plain" || type == "application/x-www-form-urlencoded" || type == "multipart/form-data";
    if (form && (origin || arrival.header("sec-fetch-site") || arrival.header("referer"))) {
        throw Refusal(Why::wrong_type, fmt::format("A body of the type {} is not taken from a page.", type),
                      "Send JSON with `Content-Type: application/json`.");
    }
}

void Door::check_listen(std::string_view address) const {
    check_reach(address, options_, keys_.ever_made());
}

void check_reach(std::string_view address, const DoorOptions& options, bool any_key) {
    if (is_loopback(address) || options.open_without_keys || any_key || !options.proxy.proxies.empty()) return;
    throw Error(
        ErrorKind::denied,
        fmt::format("{} can be reached from other machines, and there is no key: everybody could use this "
                    "server.",
                    printable(address)),
        "Make a key with `freehold key create NAME`, listen on 127.0.0.1, or say --insecure-no-keys if that is meant.");
}

bool Door::open() const {
    if (options_.open_without_keys) return true;
    return !keys_.ever_made() && options_.proxy.proxies.empty();
}

std::optional<std::string> Door::allowed_origin(const Arrival& arrival) const {
    const auto origin = arrival.header("origin");
    if (!origin || std::ranges::find(options_.origins, *origin) == options_.origins.end()) return std::nullopt;
    return std::string(*origin);
}

}  // namespace freehold::access
