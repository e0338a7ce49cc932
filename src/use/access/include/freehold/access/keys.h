// Keys: who may come in, as what, and how much. Only digests are stored; a secret is seen once, when it is made.
//
// A secret is "fh_", 43 letters and digits (256 bits) and 6 more that check the others, so that a mistyped key is known
// without a look at the database. The first 11 characters are its prefix, by which people tell keys apart.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "freehold/access/principal.h"
#include "freehold/database/database.h"

namespace freehold::access {

struct Key {
    std::string id;      // "key_..." for URLs and the audit log
    std::string prefix;  // of the newest secret, "fh_Ab3dE9xK"
    std::string name;    // one active key of a name in a tenant
    RoleSet roles;
    std::string tenant;
    std::int64_t created = 0;
    std::optional<std::int64_t> expires, revoked, last_used;
    KeyLimits limits;
    std::vector<std::string> models;  // patterns (Principal::may_use); empty: all

    [[nodiscard]] bool active(std::int64_t now) const noexcept { return !revoked && (!expires || *expires > now); }
};

struct NewKey {
    std::string name;  // 1 to 100 bytes of printable text
    RoleSet roles{Role::user};
    std::string tenant = kDefaultTenant;
    std::optional<std::int64_t> expires;
    KeyLimits limits;
    std::vector<std::string> models;
};

struct MadeKey {
    Key key;
    std::string secret;  // shown once
};

// Is the text formed like a secret, with the right check characters?
[[nodiscard]] bool looks_like_secret(std::string_view text);

// Thread-safe. Changes go to the database at once; authenticate() answers from memory only (it may be called where
// nothing may wait), and refresh() brings in what other processes changed: call it every second.
class Keys {
 public:
    // Brings the schema up to date and reads the keys. `database` must outlive this.
    explicit Keys(Database& database, Clock clock = system_clock_ms);

    // Error{usage} for a name or bound that makes no sense, Error{conflict} when an active key has that name.
    MadeKey create(const NewKey& wanted);
    // Newest first; revoked and expired ones too.
    [[nodiscard]] std::vector<Key> list();
    // By id, name (of the active key of that name, else the newest) or prefix. Error{not_found} names those there are;
    // Error{conflict} where several tenants have active keys of that name.
    [[nodiscard]] Key get(std::string_view id_or_name);
    // Ends a key for good. Revoking twice changes nothing.
    Key revoke(std::string_view id_or_name);
    // A new secret for the same key; the old one counts `grace_ms` longer. Error{conflict} for a revoked key.
    MadeKey rotate(std::string_view id_or_name, std::int64_t grace_ms = 0);
    // Removes keys that were revoked or expired before `before`; the fact that keys were made stays. Returns how many.
    std::int64_t purge(std::int64_t before);

    // Was there ever a key? From then on nobody comes in without one, also when all have been revoked.
    [[nodiscard]] bool ever_made() const;
    // The principal of a secret. Refusal{who_are_you} for text that is no key, an unknown, expired or revoked one.
    [[nodiscard]] Principal authenticate(std::string_view secret);

    // Reads the keys again if another process changed them, and writes down when keys were last used.
    void refresh();

 private:
    struct Secret {
        std::string hash;
        std::optional<std::int64_t> expires;
        std::shared_ptr<const Key> key;
    };
    struct Snapshot {
        std::unordered_multimap<std::string, Secret> by_prefix;
        bool ever_made = false;
        std::int64_t revision = -1;
    };
    void load();
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const;

    Database& database_;
    Clock clock_;
    mutable std::mutex mutex_;  // of the two below
    std::shared_ptr<const Snapshot> snapshot_;
    std::unordered_map<std::string, std::int64_t> used_;  // key id: time of the last use, not yet written
};

}  // namespace freehold::access
