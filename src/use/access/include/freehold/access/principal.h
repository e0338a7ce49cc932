// Who asks, and what each role may do. One table (roles.cpp) decides; the command line, the gate and the page read it.
// A tenant is what a key belongs to: nothing that was made under one tenant is seen by another.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/error.h"

namespace freehold::access {

// Milliseconds since 1970, UTC. Tests bring their own.
using Clock = std::function<std::int64_t()>;
[[nodiscard]] std::int64_t system_clock_ms();
// "2026-01-02T03:04:05.678Z" and back; the way back takes also a bare date (its beginning). Error{usage}.
[[nodiscard]] std::string time_text(std::int64_t ms);
[[nodiscard]] std::int64_t parse_time(std::string_view text);
// "90s", "15m", "24h", "30d", "1y" to milliseconds; Error{usage} names the text.
[[nodiscard]] std::int64_t parse_duration(std::string_view text);

enum class Role : std::uint8_t { user, operator_, auditor };
[[nodiscard]] const char* role_name(Role role) noexcept;  // "user", "operator", "auditor"

// What there is to be allowed.
enum class Right : std::uint8_t {
    use_models,     // chat, completions, embeddings; a key's list of models narrows it
    own_objects,    // stored responses, conversations and files of the own tenant
    see_models,     // which models there are
    manage_models,  // pull, create, copy, remove, load, unload
    manage_keys,    // create, list, revoke, rotate
    see_server,     // load, memory, queue, seal
    see_use,        // tokens and requests by key
    see_audit,      // the audit log: entries, verification, export
};
inline constexpr int kRights = 8;
[[nodiscard]] const char* right_name(Right right) noexcept;

// A key may hold more than one role.
class RoleSet {
 public:
    constexpr RoleSet() = default;
    constexpr RoleSet(std::initializer_list<Role> roles) {
        for (const Role role : roles) bits_ |= bit(role);
    }
    // "user", "operator,auditor"; Error{usage} names the word that is no role.
    [[nodiscard]] static RoleSet parse(std::string_view text);
    [[nodiscard]] static constexpr RoleSet all() { return {Role::user, Role::operator_, Role::auditor}; }

    [[nodiscard]] constexpr bool has(Role role) const noexcept { return (bits_ & bit(role)) != 0; }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
    constexpr void add(Role role) noexcept { bits_ |= bit(role); }
    [[nodiscard]] bool may(Right right) const noexcept;
    [[nodiscard]] std::string str() const;  // as parse() takes it
    friend constexpr bool operator==(RoleSet, RoleSet) = default;

 private:
    static constexpr std::uint8_t bit(Role role) {
        return static_cast<std::uint8_t>(1U << static_cast<unsigned>(role));
    }
    std::uint8_t bits_ = 0;
};
[[nodiscard]] bool role_may(Role role, Right right) noexcept;

// 0: no bound.
struct KeyLimits {
    std::int64_t requests_per_minute = 0;
    std::int64_t tokens_per_minute = 0;  // read and written together
    std::int64_t tokens_per_day = 0;     // of the calendar, UTC
    std::int64_t tokens_per_month = 0;
    friend bool operator==(const KeyLimits&, const KeyLimits&) = default;
};

inline constexpr const char* kDefaultTenant = "default";
// [A-Za-z0-9][A-Za-z0-9._-]{0,63}; Error{usage} otherwise.
[[nodiscard]] std::string checked_tenant(std::string_view text);

struct Principal {
    enum class How : std::uint8_t { open, key, proxy };
    How how = How::open;
    RoleSet roles;
    std::string key_id;  // "proxy:alice" for people whom a proxy signed in; "" when open
    std::string name;    // of the key or the person
    std::string tenant = kDefaultTenant;
    KeyLimits limits;
    std::vector<std::string> models;  // patterns; empty: all

    // A pattern is NAME (every tag of it), NAME:TAG, or either with * for any run of characters. An adapter
    // ("model+adapter") needs a pattern that says so.
    [[nodiscard]] bool may_use(std::string_view model) const;
};
[[nodiscard]] const char* how_name(Principal::How how) noexcept;  // "open", "key", "proxy"
[[nodiscard]] bool model_matches(std::string_view pattern, std::string_view model);

// Why somebody is not let in; the HTTP edge makes a status of it.
enum class Why : std::uint8_t {
    who_are_you,  // no key, or one that does not count: 401
    may_not,      // known, but not allowed: 403
    wrong_type,   // a body of a kind that a foreign page could send: 415
    too_much,     // over a rate or quota: 429, with retry_after
};
class Refusal : public Error {
 public:
    Refusal(Why why, std::string message, std::string hint = {}, std::int64_t retry_after = 0)
        : Error(why == Why::too_much ? ErrorKind::busy : ErrorKind::denied, std::move(message), std::move(hint)),
          why_(why),
          retry_after_(retry_after) {}
    [[nodiscard]] Why why() const noexcept { return why_; }
    [[nodiscard]] std::int64_t retry_after() const noexcept { return retry_after_; }  // seconds; 0: not said

 private:
    Why why_;
    std::int64_t retry_after_;
};

// Error of kind denied unless the roles have the right.
void require(const Principal& principal, Right right);

}  // namespace freehold::access
