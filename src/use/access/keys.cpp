// Keys in the database, and a copy in memory that answers for every request.
// The copy is replaced whole; who holds an old one finishes with it.
#include "freehold/access/keys.h"

#include <fmt/format.h>

#include <algorithm>

#include "crypto.h"
#include "freehold/base/printable.h"
#include "schema.h"

namespace freehold::access {
namespace {

constexpr std::string_view kMark = "fh_";
constexpr std::size_t kRandom = 43, kCheck = 6, kPrefix = 11;
constexpr std::size_t kSecret = kMark.size() + kRandom + kCheck;
constexpr const char* kColumns =
    "SELECT id, name, roles, tenant, created, expires, revoked, last_used, requests_per_minute, tokens_per_minute, "
    "tokens_per_day, tokens_per_month, models, (SELECT prefix FROM access_secrets s WHERE s.key_id = k.id "
    "ORDER BY s.created DESC, s.hash LIMIT 1) FROM access_keys k ";

std::string check_characters(std::string_view text) {
    constexpr char kLetters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    std::uint64_t number = std::stoull(crypto::sha256(text).substr(0, 15), nullptr, 16);
    std::string check;
    for (std::size_t i = 0; i < kCheck; ++i, number /= 62) check += kLetters[number % 62];
    return check;
}

std::string make_secret() {
    std::string secret = std::string(kMark) + crypto::random_text(kRandom);
    return secret + check_characters(secret);
}

std::string joined(const std::vector<std::string>& models) {
    std::string text;
    for (const std::string& model : models) text += (text.empty() ? "" : "\n") + model;
    return text;
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

Key key_of(const Row& row) {
    Key key;
    key.id = row.text(0);
    key.name = row.text(1);
    key.roles = RoleSet::parse(row.text(2));
    key.tenant = row.text(3);
    key.created = row.integer(4);
    key.expires = row.maybe_integer(5);
    key.revoked = row.maybe_integer(6);
    key.last_used = row.maybe_integer(7);
    key.limits = {row.integer(8), row.integer(9), row.integer(10), row.integer(11)};
    key.models = split(row.text(12));
    key.prefix = row.maybe_text(13).value_or("");
    return key;
}

// Every change of keys is seen by other processes through this number.
void bump(Statements& db) {
    db.run(
        "INSERT INTO access_facts (name, value) VALUES ('revision', 1) "
        "ON CONFLICT (name) DO UPDATE SET value = access_facts.value + 1");
}

void check(const NewKey& wanted, std::int64_t now) {
    const bool plain = !wanted.name.empty() && wanted.name.size() <= 100 && printable(wanted.name) == wanted.name;
    if (!plain || wanted.name.starts_with("key_") || wanted.name.starts_with(kMark)) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" cannot be the name of a key.", printable(wanted.name)),
                    "Use 1 to 100 bytes of plain text that begin neither with key_ nor with fh_, such as \"billing\".");
    }
    if (wanted.roles.empty())
        throw Error(ErrorKind::usage, "A key needs a role.", "The roles are user, operator and auditor.");
    static_cast<void>(checked_tenant(wanted.tenant));
    const KeyLimits& l = wanted.limits;
    if (std::min({l.requests_per_minute, l.tokens_per_minute, l.tokens_per_day, l.tokens_per_month}) < 0)
        throw Error(ErrorKind::usage, "A limit cannot be negative.", "Leave a limit out for none.");
    if (wanted.expires && *wanted.expires <= now) {
        throw Error(ErrorKind::usage, fmt::format("The key would have expired on {}.", time_text(*wanted.expires)),
                    "Give a time to come, or a length of time such as 90d.");
    }
    for (const std::string& model : wanted.models) {
        if (model.empty() || model.size() > 300 || printable(model, 300) != model)
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is no name of a model.", printable(model)));
    }
}

std::vector<Key> keys_in(Statements& db) {
    std::vector<Key> keys;
    for (const Row& row : db.query(std::string(kColumns) + "ORDER BY created DESC, id")) keys.push_back(key_of(row));
    return keys;
}

Key find_key(Statements& db, std::string_view wanted, std::int64_t now) {
    const std::vector<Key> keys = keys_in(db);
    for (const Key& key : keys) {
        if (key.id == wanted) return key;
    }
    const Key* found = nullptr;  // the newest of the name, unless an older one is active
    for (const Key& key : keys) {
        if (key.name == wanted && (found == nullptr || (!found->active(now) && key.active(now)))) found = &key;
    }
    if (found != nullptr) {
        for (const Key& key : keys) {
            if (key.name == wanted && key.active(now) && key.id != found->id) {
                throw Error(
                    ErrorKind::conflict,
                    fmt::format("There are keys \"{}\" of {} and of {}.", printable(wanted), found->tenant, key.tenant),
                    fmt::format("Give the id of the one that you mean: {} or {}.", found->id, key.id));
            }
        }
        return *found;
    }
    for (const Key& key : keys) {
        if (!key.prefix.empty() && key.prefix == wanted) return key;
    }
    std::string names;
    for (std::size_t i = 0; i < std::min<std::size_t>(keys.size(), 8); ++i)
        names += (names.empty() ? "" : ", ") + keys[i].name;
    // What was typed may be a secret: it is not repeated.
    const bool secret = wanted.starts_with(kMark) && wanted.size() > kPrefix;
    throw Error(ErrorKind::not_found,
                secret ? "There is no key of that prefix." : fmt::format("There is no key \"{}\".", printable(wanted)),
                names.empty() ? "`freehold key create NAME` makes one." : "There are: " + names + ".");
}

void add_secret(Statements& db, const std::string& secret, const std::string& id, std::int64_t now) {
    db.run("INSERT INTO access_secrets (hash, prefix, key_id, created) VALUES ($1, $2, $3, $4)",
           {crypto::sha256(secret), secret.substr(0, kPrefix), id, now});
}

}  // namespace

bool looks_like_secret(std::string_view text) {
    if (text.size() != kSecret || !text.starts_with(kMark)) return false;
    return crypto::equal(check_characters(text.substr(0, kSecret - kCheck)), text.substr(kSecret - kCheck));
}

Keys::Keys(Database& database, Clock clock) : database_(database), clock_(std::move(clock)) {
    migrate_access(database_);
    load();
}

void Keys::load() {
    auto fresh = std::make_shared<Snapshot>();
    database_.transaction([&](Statements& db) {
        *fresh = {};
        if (const auto row = db.first("SELECT value FROM access_facts WHERE name = 'revision'"))
            fresh->revision = row->integer(0);
        fresh->ever_made = db.first("SELECT value FROM access_facts WHERE name = 'keys_made'").has_value();
        std::unordered_map<std::string, std::shared_ptr<const Key>> keys;
        for (Key& key : keys_in(db)) {
            const std::string id = key.id;
            keys[id] = std::make_shared<const Key>(std::move(key));
        }
        for (const Row& row : db.query("SELECT prefix, hash, expires, key_id FROM access_secrets"))
            fresh->by_prefix.emplace(row.text(0), Secret{row.text(1), row.maybe_integer(2), keys.at(row.text(3))});
    });
    const std::lock_guard hold(mutex_);
    snapshot_ = std::move(fresh);
}

std::shared_ptr<const Keys::Snapshot> Keys::snapshot() const {
    const std::lock_guard hold(mutex_);
    return snapshot_;
}

MadeKey Keys::create(const NewKey& wanted) {
    const std::int64_t now = clock_();
    check(wanted, now);
    MadeKey made;
    made.secret = make_secret();
    Key& key = made.key;
    key.id = "key_" + crypto::random_text(16);
    key.prefix = made.secret.substr(0, kPrefix);
    key.name = wanted.name;
    key.roles = wanted.roles;
    key.tenant = wanted.tenant;
    key.created = now;
    key.expires = wanted.expires;
    key.limits = wanted.limits;
    key.models = wanted.models;
    database_.transaction([&](Statements& db) {
        for (const Key& other : keys_in(db)) {
            if (other.name == key.name && other.tenant == key.tenant && other.active(now)) {
                throw Error(
                    ErrorKind::conflict, fmt::format("There is a key \"{}\" already.", key.name),
                    fmt::format("Choose another name, or `freehold key rotate {}` for a new secret.", key.name));
            }
        }
        const KeyLimits& l = key.limits;
        db.run(
            "INSERT INTO access_keys (id, name, roles, tenant, created, expires, requests_per_minute, "
            "tokens_per_minute, tokens_per_day, tokens_per_month, models) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            {key.id, key.name, key.roles.str(), key.tenant, now, Cell(key.expires), l.requests_per_minute,
             l.tokens_per_minute, l.tokens_per_day, l.tokens_per_month, joined(key.models)});
        add_secret(db, made.secret, key.id, now);
        db.run("INSERT INTO access_facts (name, value) VALUES ('keys_made', 1) ON CONFLICT (name) DO NOTHING");
        bump(db);
    });
    load();
    return made;
}

std::vector<Key> Keys::list() {
    return keys_in(database_);
}

Key Keys::get(std::string_view id_or_name) {
    return find_key(database_, id_or_name, clock_());
}

Key Keys::revoke(std::string_view id_or_name) {
    const std::int64_t now = clock_();
    Key key;
    database_.transaction([&](Statements& db) {
        key = find_key(db, id_or_name, now);
        if (key.revoked) return;
        key.revoked = now;
        db.run("UPDATE access_keys SET revoked = $1 WHERE id = $2", {now, key.id});
        bump(db);
    });
    load();
    return key;
}

MadeKey Keys::rotate(std::string_view id_or_name, std::int64_t grace_ms) {
    const std::int64_t now = clock_();
    MadeKey made;
    made.secret = make_secret();
    database_.transaction([&](Statements& db) {
        made.key = find_key(db, id_or_name, now);
        if (!made.key.active(now)) {
            throw Error(ErrorKind::conflict, fmt::format("The key \"{}\" was revoked or has expired.", made.key.name),
                        "Make a new one with `freehold key create`.");
        }
        if (grace_ms > 0) {
            db.run("UPDATE access_secrets SET expires = $1 WHERE key_id = $2 AND (expires IS NULL OR expires > $1)",
                   {now + grace_ms, made.key.id});
        } else {
            db.run("DELETE FROM access_secrets WHERE key_id = $1", {made.key.id});
        }
        add_secret(db, made.secret, made.key.id, now);
        bump(db);
    });
    made.key.prefix = made.secret.substr(0, kPrefix);
    load();
    return made;
}

std::int64_t Keys::purge(std::int64_t before) {
    std::int64_t removed = 0;
    database_.transaction([&](Statements& db) {
        db.run(
            "DELETE FROM access_secrets WHERE expires < $1 OR key_id IN "
            "(SELECT id FROM access_keys WHERE revoked < $1 OR expires < $1)",
            {before});
        removed = db.run("DELETE FROM access_keys WHERE revoked < $1 OR expires < $1", {before});
        if (removed > 0) bump(db);
    });
    load();
    return removed;
}

bool Keys::ever_made() const {
    return snapshot()->ever_made;
}

Principal Keys::authenticate(std::string_view secret) {
    const std::int64_t now = clock_();
    const char* const hint = "Ask whoever runs this server for a key (`freehold key create NAME`).";
    if (!looks_like_secret(secret)) {
        throw Refusal(Why::who_are_you, "This is no key of Freehold, or it was not copied whole.",
                      fmt::format("A key is fh_ and {} letters and digits.", kRandom + kCheck));
    }
    const auto known = snapshot();
    const std::string hash = crypto::sha256(secret);
    const Secret* found = nullptr;
    const auto [begin, end] = known->by_prefix.equal_range(std::string(secret.substr(0, kPrefix)));
    for (auto it = begin; it != end; ++it) {
        if (crypto::equal(it->second.hash, hash)) found = &it->second;
    }
    if (found == nullptr) throw Refusal(Why::who_are_you, "This key is not known here.", hint);
    const Key& key = *found->key;
    if (key.revoked)
        throw Refusal(Why::who_are_you, fmt::format("This key was revoked on {}.", time_text(*key.revoked)), hint);
    if (key.expires && *key.expires <= now)
        throw Refusal(Why::who_are_you, fmt::format("This key expired on {}.", time_text(*key.expires)), hint);
    if (found->expires && *found->expires <= now) {
        throw Refusal(Why::who_are_you,
                      fmt::format("This key was replaced by a new one on {}.", time_text(*found->expires)), hint);
    }
    {
        const std::lock_guard hold(mutex_);
        used_[key.id] = now;
    }
    Principal who;
    who.how = Principal::How::key;
    who.roles = key.roles;
    who.key_id = key.id;
    who.name = key.name;
    who.tenant = key.tenant;
    who.limits = key.limits;
    who.models = key.models;
    return who;
}

void Keys::refresh() {
    std::unordered_map<std::string, std::int64_t> used;
    {
        const std::lock_guard hold(mutex_);
        used.swap(used_);
    }
    if (!used.empty()) {
        database_.transaction([&](Statements& db) {
            for (const auto& [id, time] : used)
                db.run("UPDATE access_keys SET last_used = $1 WHERE id = $2 AND (last_used IS NULL OR last_used < $1)",
                       {time, id});
        });
    }
    const auto row = database_.first("SELECT value FROM access_facts WHERE name = 'revision'");
    if (row && row->integer(0) != snapshot()->revision) load();
}

}  // namespace freehold::access
