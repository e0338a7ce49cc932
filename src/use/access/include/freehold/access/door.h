// Who comes in, decided from the head of a request alone: its key, a trusted proxy's word for a person, or nothing at
// all where nobody made a key yet and the caller sits on this machine. Knows headers, but no HTTP library.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/access/keys.h"
#include "freehold/access/principal.h"

namespace freehold::access {

// A network as people write it: "10.0.0.0/8", "192.168.1.7", "fd00::/8", or "unix" for a local socket.
class Network {
 public:
    // Error{usage} names the text.
    [[nodiscard]] static Network parse(std::string_view text);
    // `address`: textual, IPv4 or IPv6 without a zone; an IPv4 address inside IPv6 (::ffff:1.2.3.4) counts as itself.
    [[nodiscard]] bool contains(std::string_view address) const;

 private:
    std::vector<std::uint8_t> bytes_;  // 4 or 16; empty: "unix"
    int bits_ = 0;
};
[[nodiscard]] bool is_loopback(std::string_view address);

// People whom a proxy in front of the server has signed in (OIDC, Kerberos, client certificates). Its headers count
// only when they come from one of its addresses, and once each.
struct ProxySignIn {
    std::vector<Network> proxies;               // empty: nobody signs in so
    std::string user_header = "x-remote-user";  // lower case
    std::string groups_header = "x-remote-groups";
    std::string tenant_header;              // empty: everybody belongs to `tenant`
    char separator = ',';                   // between groups
    std::map<std::string, RoleSet> groups;  // who is in none of them is refused
    std::string tenant = kDefaultTenant;
    KeyLimits limits;  // of every person
    std::vector<std::string> models;
};

struct DoorOptions {
    bool open_without_keys = false;  // said explicitly: everybody who reaches the server is let in
    ProxySignIn proxy;
    std::vector<std::string> hosts;    // names by which this server is called, beside localhost and addresses
    std::vector<std::string> origins;  // of pages that may call it from elsewhere ("https://chat.example"); CORS
};

// The head of a request, as far as the door looks at it.
struct Arrival {
    std::span<const std::pair<std::string, std::string>> headers;  // names in lower case
    std::string_view peer;                                         // address without port, or "unix"
    bool tls = false;
    bool changes = false;        // the method is not GET, HEAD or OPTIONS
    bool any_body_type = false;  // uploads of bytes: the body need not be JSON

    // nullopt when there is none. More than one of a name: the first, and `several` says so.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
    [[nodiscard]] bool several(std::string_view name) const noexcept;
};

// Any header by which proxies say that they pass something on.
[[nodiscard]] bool was_forwarded(const Arrival& arrival) noexcept;

// Thread-safe, and never waits for disk or network.
class Door {
 public:
    Door(Keys& keys, DoorOptions options) : keys_(keys), options_(std::move(options)) {}

    // Throws Refusal. What a principal may do is asked apart (require, may_use).
    [[nodiscard]] Principal admit(const Arrival& arrival) const;
    // For routes that everybody may call: the checks of Host, Origin and body without asking for a key.
    void check_page(const Arrival& arrival, bool keyed) const;

    // May the server listen there? Error{denied} with the way out: anything but loopback needs a key, a trusted proxy
    // or the explicit word.
    void check_listen(std::string_view address) const;
    // Does somebody come in without a key?
    [[nodiscard]] bool open() const;
    [[nodiscard]] const DoorOptions& options() const noexcept { return options_; }
    // The value of Access-Control-Allow-Origin for this caller; nullopt: none is sent.
    [[nodiscard]] std::optional<std::string> allowed_origin(const Arrival& arrival) const;

 private:
    [[nodiscard]] std::optional<Principal> signed_in(const Arrival& arrival) const;
    Keys& keys_;
    DoorOptions options_;
};

// As Door::check_listen, by whether there was ever a key.
void check_reach(std::string_view address, const DoorOptions& options, bool any_key);

}  // namespace freehold::access
