// The JSON of this room, both ways. Reading is strict: a field that is not known is refused, since a limit that was
// misspelt would be no limit.
#include "freehold/access/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>

#include "freehold/base/file.h"
#include "freehold/base/printable.h"

namespace freehold::access {
namespace {

Value when(const std::optional<std::int64_t>& ms) {
    return ms ? Value(time_text(*ms)) : Value();
}

// A map whose keys are known; every fault names the place.
class Reader {
 public:
    Reader(const ValueMap& map, std::string where, std::initializer_list<std::string_view> known)
        : map_(map), where_(std::move(where)) {
        for (const auto& [key, value] : map) {
            if (std::ranges::find(known, key) != known.end()) continue;
            std::string names;
            for (const std::string_view name : known) names += (names.empty() ? "" : ", ") + std::string(name);
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is not known in {}.", printable(key, 60), where_),
                        "Known are: " + names + ".");
        }
    }
    [[nodiscard]] const Value* find(const char* key) const {
        const Value* value = map_.find(key);
        return value == nullptr || value->is_null() ? nullptr : value;
    }
    [[nodiscard]] std::string text(const char* key, std::string fallback) const {
        const Value* value = find(key);
        if (value == nullptr) return fallback;
        const auto text = value->as_string();
        if (!text) fail(key, "a text");
        return std::string(*text);
    }
    [[nodiscard]] std::int64_t count(const char* key) const {
        const Value* value = find(key);
        if (value == nullptr) return 0;
        const auto number = value->as_int();
        if (!number || *number < 0) fail(key, "a whole number from 0");
        return *number;
    }
    [[nodiscard]] std::vector<std::string> texts(const char* key) const {
        std::vector<std::string> list;
        const Value* value = find(key);
        if (value == nullptr) return list;
        if (value->as_string() ||
            (value->get<ValueList>() == nullptr && value->get<std::vector<std::string>>() == nullptr))
            fail(key, "a list of texts");
        for (std::size_t i = 0; i < value->size(); ++i) {
            const Value item = value->at(i);
            if (!item.as_string()) fail(key, "a list of texts");
            list.emplace_back(*item.as_string());
        }
        return list;
    }
    [[nodiscard]] const ValueMap* object(const char* key) const {
        const Value* value = find(key);
        if (value == nullptr) return nullptr;
        const auto* map = value->get<ValueMap>();
        if (map == nullptr) fail(key, "an object");
        return map;
    }
    [[noreturn]] void fail(const char* key, const char* wanted) const {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" in {} must be {}.", key, where_, wanted));
    }

 private:
    const ValueMap& map_;
    std::string where_;
};

constexpr std::array<std::string_view, 4> kLimitNames = {"requests_per_minute", "tokens_per_minute", "tokens_per_day",
                                                         "tokens_per_month"};

KeyLimits limits_from(const ValueMap* map, const std::string& where) {
    if (map == nullptr) return {};
    const Reader reader(*map, where,
                        {"requests_per_minute", "tokens_per_minute", "tokens_per_day", "tokens_per_month"});
    return {reader.count("requests_per_minute"), reader.count("tokens_per_minute"), reader.count("tokens_per_day"),
            reader.count("tokens_per_month")};
}

std::string lower(std::string text) {
    for (char& c : text) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
}

ProxySignIn proxy_from(const ValueMap& map, const std::string& where) {
    const Reader reader(map, where,
                        {"addresses", "user_header", "groups_header", "tenant_header", "separator", "groups", "tenant",
                         "models", "limits"});
    ProxySignIn proxy;
    for (const std::string& address : reader.texts("addresses")) proxy.proxies.push_back(Network::parse(address));
    if (proxy.proxies.empty()) reader.fail("addresses", "a list of the proxy's addresses");
    proxy.user_header = lower(reader.text("user_header", proxy.user_header));
    proxy.groups_header = lower(reader.text("groups_header", proxy.groups_header));
    proxy.tenant_header = lower(reader.text("tenant_header", ""));
    const std::string separator = reader.text("separator", ",");
    if (separator.size() != 1) reader.fail("separator", "one character");
    proxy.separator = separator[0];
    proxy.tenant = checked_tenant(reader.text("tenant", kDefaultTenant));
    proxy.models = reader.texts("models");
    proxy.limits = limits_from(reader.object("limits"), where + ".limits");
    const ValueMap* groups = reader.object("groups");
    if (groups == nullptr || groups->empty()) reader.fail("groups", "an object of groups and their roles");
    for (const auto& [group, roles] : *groups) {
        if (!roles.as_string()) reader.fail("groups", "an object of groups and their roles");
        proxy.groups[group] = RoleSet::parse(*roles.as_string());
    }
    return proxy;
}

}  // namespace

ValueMap key_json(const Key& key, std::int64_t now) {
    const KeyLimits& l = key.limits;
    ValueMap map;
    map.set("id", key.id);
    map.set("name", key.name);
    map.set("prefix", key.prefix);
    map.set("role", key.roles.str());
    map.set("tenant", key.tenant);
    map.set("created", time_text(key.created));
    map.set("expires", when(key.expires));
    map.set("revoked", when(key.revoked));
    map.set("last_used", when(key.last_used));
    map.set("active", key.active(now));
    map.set("limits", ValueMap{{"requests_per_minute", l.requests_per_minute},
                               {"tokens_per_minute", l.tokens_per_minute},
                               {"tokens_per_day", l.tokens_per_day},
                               {"tokens_per_month", l.tokens_per_month}});
    map.set("models", key.models);
    return map;
}

NewKey new_key_from(const ValueMap& fields, std::int64_t now) {
    const Reader reader(fields, "the key",
                        {"name", "role", "roles", "tenant", "expires", "limits", "models", "requests_per_minute",
                         "tokens_per_minute", "tokens_per_day", "tokens_per_month"});
    NewKey key;
    key.name = reader.text("name", "");
    key.roles = RoleSet::parse(reader.text("role", reader.text("roles", "user")));
    key.tenant = checked_tenant(reader.text("tenant", kDefaultTenant));
    key.models = reader.texts("models");
    // Limits stand in an object of their own or beside the name; the latter go first where both do.
    ValueMap limits;
    if (const ValueMap* given = reader.object("limits")) limits = *given;
    for (const std::string_view name : kLimitNames) {
        if (const Value* value = fields.find(name)) limits.set(std::string(name), *value);
    }
    key.limits = limits_from(&limits, "the key's limits");
    if (const std::string end = reader.text("expires", ""); !end.empty()) {
        const bool date = end.size() >= 10 && end[4] == '-';
        key.expires = date ? parse_time(end) : now + parse_duration(end);
    }
    return key;
}

ValueMap use_json(const Use& use) {
    ValueMap map;
    map.set("key", use.key_id);
    map.set("tenant", use.tenant);
    map.set("model", use.model);
    map.set("day", use.day);
    map.set("requests", use.requests);
    map.set("prompt_tokens", use.prompt_tokens);
    map.set("completion_tokens", use.completion_tokens);
    return map;
}

ValueMap texts_json(const EntryTexts& texts) {
    const auto one = [](const KeptText& kept) {
        ValueMap map{{"state", text_state_name(kept.state)}};
        if (kept.state == KeptText::State::kept || kept.state == KeptText::State::unbound)
            map.set("text", valid_utf8(kept.text));
        return map;
    };
    return ValueMap{{"prompt", one(texts.prompt)}, {"answer", one(texts.answer)}};
}

namespace {

ValueMap tenant_state_json(const std::vector<ChainReport>& reports, const TextReport& texts,
                           const std::string& tenant) {
    const auto count = [&](const std::map<std::string, std::uint64_t>& of) {
        const auto found = of.find(tenant);
        return found == of.end() ? std::uint64_t{0} : found->second;
    };
    ValueList faults;
    std::uint64_t entries = 0;
    for (const ChainReport& report : reports) entries += count(report.tenants);
    for (const AuditFault& fault : texts.faults) {
        if (fault.file.starts_with("texts/" + tenant + "/"))
            faults.emplace_back(ValueMap{{"kind", fault.kind}, {"message", fault.message}});
    }
    if (std::ranges::any_of(reports, [](const ChainReport& report) { return !report.faults.empty(); })) {
        faults.emplace_back(
            ValueMap{{"kind", "log"},
                     {"message", "The log of this installation does not hold together; whoever runs it sees where."}});
    }
    ValueMap map;
    map.set("ok", faults.empty());
    map.set("tenant", tenant);
    map.set("entries", static_cast<std::int64_t>(entries));
    map.set("texts", static_cast<std::int64_t>(count(texts.tenants)));
    map.set("faults", std::move(faults));
    map.set("chains", ValueList{});
    return map;
}

}  // namespace

ValueMap audit_state_json(const std::vector<ChainReport>& reports, const TextReport& texts, const std::string& tenant) {
    if (!tenant.empty()) return tenant_state_json(reports, texts, tenant);
    const auto number = [](std::uint64_t n) { return Value(static_cast<std::int64_t>(n)); };
    ValueList chains, all_faults;
    for (const AuditFault& fault : texts.faults) {
        all_faults.emplace_back(ValueMap{
            {"kind", fault.kind}, {"file", fault.file}, {"line", number(fault.line)}, {"message", fault.message}});
    }
    std::uint64_t entries = 0;
    for (const ChainReport& report : reports) {
        ValueList faults, notes;
        for (const AuditFault& fault : report.faults) {
            ValueMap map{{"kind", fault.kind},
                         {"file", fault.file},
                         {"line", number(fault.line)},
                         {"entry", number(fault.entry)},
                         {"message", fault.message}};
            faults.emplace_back(map);
            map.set("replica", report.replica);
            all_faults.emplace_back(std::move(map));
        }
        for (const std::string& note : report.notes) notes.emplace_back(note);
        ValueMap map{{"replica", report.replica},         {"chain", report.chain},
                     {"entries", number(report.entries)}, {"first", number(report.first)},
                     {"last", number(report.last)},       {"checkpoints", number(report.checkpoints)}};
        map.set("signed_up_to", report.signed_up_to ? number(*report.signed_up_to) : Value());
        map.set("head", report.head);
        map.set("faults", std::move(faults));
        map.set("notes", std::move(notes));
        chains.emplace_back(std::move(map));
        entries += report.entries;
    }
    ValueMap map;
    map.set("ok", all_faults.empty());
    map.set("entries", number(entries));
    map.set("texts", number(texts.texts));
    map.set("faults", std::move(all_faults));
    map.set("chains", std::move(chains));
    return map;
}

AccessConfig access_config_from(const ValueMap& map, const std::string& what) {
    const Reader reader(map, what, {"hosts", "origins", "proxy", "audit", "retention"});
    AccessConfig config;
    config.door.hosts = reader.texts("hosts");
    config.door.origins = reader.texts("origins");
    if (const ValueMap* proxy = reader.object("proxy")) config.door.proxy = proxy_from(*proxy, what + ": proxy");
    if (const ValueMap* audit = reader.object("audit")) {
        const Reader part(*audit, what + ": audit", {"export_to", "replica", "texts"});
        config.audit_export = part.text("export_to", "");
        config.replica = part.text("replica", "main");
        try {
            check_replica_name(config.replica);
        } catch (const Error& fault) {
            throw Error(ErrorKind::usage, fmt::format("{}: audit.replica: {}", what, fault.message()), fault.hint());
        }
        if (const Value* texts = part.find("texts")) {
            const auto* keep = texts->get<bool>();
            if (keep == nullptr) part.fail("texts", "true or false");
            config.audit_texts = *keep;
        }
    }
    if (const ValueMap* retention = reader.object("retention")) {
        const Reader part(*retention, what + ": retention", {"audit", "use", "keys", "texts", "responses"});
        const auto length = [&](const char* name) {
            const std::string span = part.text(name, "");
            const std::int64_t ms = span.empty() ? 0 : parse_duration(span);
            if (!span.empty() && ms == 0) part.fail(name, "longer than nothing; without it, what was kept stays");
            return ms;
        };
        config.keep_audit = length("audit");
        config.keep_use = length("use");
        config.keep_keys = length("keys");
        config.keep_texts = length("texts");
        if (const std::int64_t responses = length("responses"); responses > 0) config.keep_responses = responses;
    }
    return config;
}

AccessConfig parse_access_config(std::string_view text, const std::string& what) {
    const Value value = parse_json(text, what);
    const auto* map = value.get<ValueMap>();
    if (map == nullptr) throw Error(ErrorKind::usage, fmt::format("{} is no JSON object.", what));
    return access_config_from(*map, what);
}

AccessConfig read_access_config(const std::filesystem::path& file) {
    std::error_code ec;
    if (!std::filesystem::exists(file, ec)) return {};
    return parse_access_config(read_text(file, 1U << 20U), file.string());
}

}  // namespace freehold::access
