// freehold key: the keys of the server, from the machine itself. What is done here stands in the audit chain "console".
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "../console.h"
#include "../database_settings.h"
#include "../session.h"
#include "freehold/access/json.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string name, role = "user", tenant = access::kDefaultTenant, expires, grace = "0s";
    std::vector<std::string> models;
    std::int64_t requests_per_minute = 0, tokens_per_minute = 0, tokens_per_day = 0, tokens_per_month = 0;
    bool json = false, all = false;
    SettingFlags database;
};

struct Installation {
    std::unique_ptr<Database> database;
    std::unique_ptr<access::Keys> keys;
};

Installation open_installation(const Options& o) {
    Installation here;
    here.database = open_database(Settings::load(o.database));
    here.keys = std::make_unique<access::Keys>(*here.database);
    return here;
}

// One entry of the console's own chain; another command may hold it for a moment.
void record(const char* what, const access::Key& key) {
    access::AuditOptions options;
    options.folder = access::audit_folder(default_home());
    options.replica = "console";
    access::AuditEntry entry;
    entry.kind = "key";
    entry.by = "console";
    entry.outcome = what;
    entry.tenant = key.tenant;
    entry.details.set("key", key.id);
    entry.details.set("key_name", key.name);
    entry.details.set("role", key.roles.str());
    for (int attempt = 0;; ++attempt) {
        try {
            access::AuditLog::open(options)->append(entry);
            return;
        } catch (const Error& fault) {
            if (fault.kind() != ErrorKind::conflict || attempt == 50) throw;
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }
}

std::string limits_text(const access::KeyLimits& limits) {
    std::string text;
    const auto add = [&](std::int64_t bound, const char* what) {
        if (bound > 0)
            text += (text.empty() ? "" : ", ") + with_thousands(static_cast<std::uint64_t>(bound)) + " " + what;
    };
    add(limits.requests_per_minute, "requests/min");
    add(limits.tokens_per_minute, "tokens/min");
    add(limits.tokens_per_day, "tokens/day");
    add(limits.tokens_per_month, "tokens/month");
    return text;
}

int show_made(const access::MadeKey& made, bool json, const char* what) {
    if (json) {
        ValueMap map = access::key_json(made.key, access::system_clock_ms());
        map.set("key", made.secret);
        out(to_json(Value(std::move(map)), 2) + "\n");
        return 0;
    }
    notice(fmt::format("The key \"{}\" ({}, tenant {}) is {}. This is the only time that it is shown:", made.key.name,
                       made.key.roles.str(), made.key.tenant, what));
    out(made.secret + "\n");
    return 0;
}

int create(const Options& o) {
    const std::int64_t now = access::system_clock_ms();
    ValueMap fields;
    fields.set("name", o.name);
    fields.set("role", o.role);
    fields.set("tenant", o.tenant);
    if (!o.expires.empty()) fields.set("expires", o.expires);
    fields.set("models", o.models);
    fields.set("requests_per_minute", o.requests_per_minute);
    fields.set("tokens_per_minute", o.tokens_per_minute);
    fields.set("tokens_per_day", o.tokens_per_day);
    fields.set("tokens_per_month", o.tokens_per_month);
    const access::NewKey wanted = access::new_key_from(fields, now);
    const Installation here = open_installation(o);
    const access::MadeKey made = here.keys->create(wanted);
    record("created", made.key);
    return show_made(made, o.json, "made");
}

int list(const Options& o) {
    const Installation here = open_installation(o);
    const std::int64_t now = access::system_clock_ms();
    std::vector<access::Key> keys = here.keys->list();
    if (!o.all) std::erase_if(keys, [&](const access::Key& key) { return !key.active(now); });
    if (o.json) {
        ValueList all;
        for (const access::Key& key : keys) all.emplace_back(access::key_json(key, now));
        out(to_json(Value(std::move(all)), 2) + "\n");
        return 0;
    }
    if (keys.empty()) {
        notice(
            here.keys->ever_made()
                ? "There is no key that counts. `freehold key list --all` shows revoked and expired ones."
                : "There is no key yet: the server answers this machine only. `freehold key create NAME` makes one.");
        return 0;
    }
    Table table({{"NAME"},
                 {"ROLE"},
                 {"TENANT", false, true},
                 {"PREFIX", false, true},
                 {"STATE"},
                 {"LAST USED", false, true},
                 {"LIMITS", false, true},
                 {"MODELS", false, true}});
    for (const access::Key& key : keys) {
        const std::string state = key.revoked        ? "revoked"
                                  : !key.active(now) ? "expired"
                                  : key.expires      ? "until " + access::time_text(*key.expires).substr(0, 10)
                                                     : "active";
        const std::string used =
            key.last_used ? age_of(access::time_text(*key.last_used).substr(0, 19) + "Z") : "never";
        table.add({key.name, key.roles.str(), key.tenant, key.prefix, state, used, limits_text(key.limits),
                   fmt::format("{}", fmt::join(key.models, " "))});
    }
    out(table.str(stdout_is_terminal() ? terminal_width() : 0));
    return 0;
}

int revoke(const Options& o) {
    const Installation here = open_installation(o);
    const access::Key key = here.keys->revoke(o.name);
    record("revoked", key);
    if (o.json) {
        out(to_json(Value(access::key_json(key, access::system_clock_ms())), 2) + "\n");
    } else {
        out(fmt::format("The key \"{}\" ({}) is revoked; a running server refuses it within a second.\n", key.name,
                        key.prefix));
    }
    return 0;
}

int rotate(const Options& o) {
    const Installation here = open_installation(o);
    const access::MadeKey made = here.keys->rotate(o.name, access::parse_duration(o.grace));
    record("rotated", made.key);
    return show_made(made, o.json, "renewed");
}

}  // namespace

Action setup_key(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.require_subcommand(1);
    CLI::App* make = app.add_subcommand("create", "Make a key and show it, once");
    make->add_option("NAME", o->name, "What people call it")->required()->type_name("NAME");
    make->add_option("--role", o->role, "user, operator, auditor, or several with commas (default user)")
        ->type_name("ROLE");
    make->add_option("--tenant", o->tenant, "Whom it belongs to: tenants see nothing of each other")->type_name("T");
    make->add_option("--expires", o->expires, "A date, or a length of time: 2027-01-01, 90d")->type_name("TIME");
    make->add_option("--model", o->models, "Only these models (NAME, NAME:TAG, with * for anything)")
        ->type_name("MODEL");
    const auto limit = [&](const char* name, std::int64_t& value, const char* what) {
        make->add_option(name, value, what)->type_name("N")->check(CLI::NonNegativeNumber);
    };
    limit("--requests-per-minute", o->requests_per_minute, "Requests a minute");
    limit("--tokens-per-minute", o->tokens_per_minute, "Tokens a minute, read and written");
    limit("--tokens-per-day", o->tokens_per_day, "Tokens a day (UTC)");
    limit("--tokens-per-month", o->tokens_per_month, "Tokens a month (UTC)");
    add_json_flag(*make, o->json);
    CLI::App* show = app.add_subcommand("list", "List the keys");
    show->add_flag("-a,--all", o->all, "Revoked and expired ones too");
    add_json_flag(*show, o->json);
    CLI::App* end = app.add_subcommand("revoke", "End a key for good");
    end->add_option("KEY", o->name, "Name, id or prefix")->required()->type_name("KEY");
    add_json_flag(*end, o->json);
    CLI::App* renew = app.add_subcommand("rotate", "Give a key a new secret");
    renew->add_option("KEY", o->name, "Name, id or prefix")->required()->type_name("KEY");
    renew->add_option("--grace", o->grace, "How long the old secret still counts: 24h (default: not at all)")
        ->type_name("TIME");
    add_json_flag(*renew, o->json);
    const char* const examples =
        "Examples\n  freehold key create billing --tokens-per-day 200000\n  freehold key create anna --role "
        "operator,auditor --expires 90d\n  freehold key create ward-3 --tenant ward-3 --model smollm2\n  freehold key "
        "list --all\n  freehold key rotate billing --grace 24h\n  freehold key revoke billing";
    for (CLI::App* sub : {&app, make, show, end, renew}) sub->footer(examples);
    for (CLI::App* sub : {make, show, end, renew}) add_database_flags(*sub, o->database);
    return [o, make, show, end] {
        if (make->parsed()) return create(*o);
        if (show->parsed()) return list(*o);
        return end->parsed() ? revoke(*o) : rotate(*o);
    };
}

}  // namespace freehold::cli
