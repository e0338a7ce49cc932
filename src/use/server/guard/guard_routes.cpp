// Keys, usage and audit over HTTP. Whoever belongs to a tenant of his own sees that tenant's keys and entries only;
// the tenant "default" runs the installation and sees all.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "freehold/server/errors.h"
#include "freehold/server/guard.h"

namespace freehold::server {
namespace {

// The tenant to which a principal's view is narrowed; empty: the whole installation.
std::string scope(const HttpRequest& request) {
    const std::string& tenant = request.principal.tenant;
    return !request.principal.keyed || tenant == access::kDefaultTenant ? std::string() : tenant;
}

ValueMap body_of(const HttpRequest& request) {
    const Value value = [&] {
        try {
            return request.body.empty() ? Value(ValueMap{}) : parse_json(request.body, "the body");
        } catch (const Error& fault) {
            throw RequestError(400, ErrorKind::usage, fault.message(), "Send one JSON object.");
        }
    }();
    const auto* map = value.get<ValueMap>();
    if (map == nullptr) throw RequestError(400, ErrorKind::usage, "The body is no JSON object.");
    return *map;
}

std::uint64_t number_query(const HttpRequest& request, const char* name, std::uint64_t fallback, std::uint64_t most) {
    const auto text = request.query(name);
    if (!text) return fallback;
    std::uint64_t number = 0;
    const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (fault != std::errc() || end != text->data() + text->size() || text->empty() || number > most)
        throw field_error(name, fmt::format("{} is no whole number up to {}.", name, most));
    return number;
}

std::string day_query(const HttpRequest& request, const char* name, const std::string& fallback) {
    const auto text = request.query(name);
    if (!text) return fallback;
    try {
        return access::time_text(access::parse_time(*text)).substr(0, 10);
    } catch (const Error& fault) {
        throw field_error(name, fault.message(), fault.hint());
    }
}

// A key of another tenant does not exist for whoever may not see it.
access::Key visible_key(access::Keys& keys, const HttpRequest& request) {
    const std::string id = request.param("id");
    const auto none = [] { return RequestError(404, ErrorKind::not_found, "There is no such key.", {}, "id"); };
    // Names of other tenants' keys must not show in a hint, so only ids are taken here.
    if (!id.starts_with("key_")) throw none();
    for (access::Key& key : keys.list()) {
        if (key.id == id && (scope(request).empty() || key.tenant == scope(request))) return std::move(key);
    }
    throw none();
}

// The key that the caller came with; none where the server is open or a proxy signed somebody in.
std::optional<access::Key> own_key(access::Keys& keys, const Principal& principal) {
    if (!principal.keyed) return std::nullopt;
    for (access::Key& key : keys.list()) {
        if (key.id == principal.key_id) return std::move(key);
    }
    return std::nullopt;
}

// Would everything that `pattern` lets through be let through by one of these too? Never yes by mistake.
bool covered(const std::vector<std::string>& by, const std::string& pattern) {
    return by.empty() || std::ranges::any_of(by, [&](const std::string& own) {
               return own == pattern || access::model_matches(own, pattern);
           });
}

// What the secret of a key would let its holder do.
struct Reach {
    access::RoleSet roles;
    std::optional<std::int64_t> expires;
    std::vector<std::string> models;
};

// Nobody gets a secret that reaches further than his own, neither of a new key nor a new one of a key that is there:
// not other roles, other models or a longer life, and a quota or rate is not had twice. The command line of the
// machine can.
void check_may_hand_out(const std::optional<access::Key>& own, const Principal& principal, const Reach& wanted) {
    const auto refuse = [](std::string what, const char* field) {
        throw RequestError(403, ErrorKind::denied, std::move(what),
                           "`freehold key` on the machine can, or somebody whose key reaches as far.", field);
    };
    const access::RoleSet roles = own                                 ? own->roles
                                  : !principal.keyed                  ? access::RoleSet::all()
                                  : principal.role == Role::operator_ ? access::RoleSet{access::Role::operator_}
                                                                      : access::RoleSet{};
    for (const access::Role role : {access::Role::operator_, access::Role::auditor}) {
        if (!wanted.roles.has(role) || roles.has(role)) continue;
        refuse(
            fmt::format("The secret of a key with the role {} goes to somebody who has it.", access::role_name(role)),
            "role");
    }
    if (own && own->limits != access::KeyLimits{})
        refuse("Your key has a rate or a quota, and hands out no keys: each would have as much again.", "limits");
    if (own && own->expires && (!wanted.expires || *wanted.expires > *own->expires))
        refuse("Your key hands out no key that lives longer than itself.", "expires");
    if (principal.models.empty()) return;
    if (wanted.models.empty()) refuse("Your key is for some models, and hands out no key for all.", "models");
    for (const std::string& pattern : wanted.models) {
        if (!covered(principal.models, pattern))
            refuse(fmt::format("Your key is not for \"{}\", and hands out no key that is.", pattern), "models");
    }
}

constexpr const char* kId =
    R"json("parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}], )json";
constexpr const char* kNewKey =
    R"json("requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object",
 "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 100},
  "role": {"type": "string"}, "tenant": {"type": "string"}, "expires": {"type": "string"},
  "models": {"type": "array", "items": {"type": "string"}}, "limits": {"type": "object"}}}}}}, )json";
constexpr const char* kGrace =
    R"json("parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
 "requestBody": {"content": {"application/json": {"schema": {"type": "object",
  "properties": {"grace": {"type": "string"}}}}}}, )json";
constexpr const char* kPage =
    R"json("parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 1000}},
 {"name": "before", "in": "query", "schema": {"type": "integer", "minimum": 0}},
 {"name": "replica", "in": "query", "schema": {"type": "string"}}], )json";
constexpr const char* kDays =
    R"json("parameters": [{"name": "from", "in": "query", "schema": {"type": "string", "format": "date"}},
 {"name": "to", "in": "query", "schema": {"type": "string", "format": "date"}}], )json";

Route row(const char* method, const char* pattern, Role role, const char* id, const char* summary, const char* more,
          Handler handler) {
    Route route;
    route.method = method;
    route.pattern = pattern;
    route.role = role;
    route.handler = std::move(handler);
    route.operation = fmt::format(
        R"json({{"operationId": "{}", "tags": ["Keys and audit"], "summary": "{}", {}"responses": {{"200": {{"description":
 "The answer", "content": {{"application/json": {{"schema": {{"type": "object"}}}}}}}}}}}})json",
        id, summary, more);
    return route;
}

void list_keys(Guard& guard, const access::Clock& clock, const HttpRequest& request, Responder& responder) {
    guard.refresh();
    const std::string today = access::time_text(clock()).substr(0, 10);
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> month;  // requests, tokens
    for (const access::Use& use : guard.limiter().use(today.substr(0, 8) + "01", today, scope(request))) {
        month[use.key_id].first += use.requests;
        month[use.key_id].second += use.prompt_tokens + use.completion_tokens;
    }
    ValueList list;
    for (const access::Key& key : guard.keys().list()) {
        if (!scope(request).empty() && key.tenant != scope(request)) continue;
        ValueMap map = access::key_json(key, clock());
        const auto& [requests, tokens] = month[key.id];
        map.set("use", ValueMap{{"requests", requests}, {"tokens_this_month", tokens}});
        list.emplace_back(std::move(map));
    }
    send_json(responder, 200, ValueMap{{"keys", Value(std::move(list))}});
}

// For the audit entry: which key, and what it may.
void note_key(Responder& responder, const char* what, const access::Key& key) {
    ValueMap change{{"kind", "key"},           {"what", what},    {"key", key.id}, {"key_name", key.name},
                    {"role", key.roles.str()}, {"of", key.tenant}};
    if (!key.models.empty()) change.set("models", key.models);
    if (key.expires) change.set("expires", access::time_text(*key.expires));
    responder.note("change", Value(std::move(change)));
}

void create_key(Guard& guard, const access::Clock& clock, const HttpRequest& request, Responder& responder) {
    ValueMap fields = body_of(request);
    if (!scope(request).empty() && fields.find("tenant") == nullptr) fields.set("tenant", scope(request));
    access::NewKey wanted;
    try {
        wanted = access::new_key_from(fields, clock());
    } catch (const Error& fault) {
        throw RequestError(400, ErrorKind::usage, fault.message(), fault.hint());
    }
    if (!scope(request).empty() && wanted.tenant != scope(request)) {
        throw RequestError(403, ErrorKind::denied, fmt::format("Your key makes keys of \"{}\" only.", scope(request)),
                           {}, "tenant");
    }
    const std::optional<access::Key> own = own_key(guard.keys(), request.principal);
    // What is not asked for is as the maker has it.
    if (wanted.models.empty()) wanted.models = request.principal.models;
    if (!wanted.expires && own) wanted.expires = own->expires;
    check_may_hand_out(own, request.principal, {wanted.roles, wanted.expires, wanted.models});
    const access::MadeKey made = guard.keys().create(wanted);
    note_key(responder, "created", made.key);
    ValueMap answer = access::key_json(made.key, clock());
    answer.set("key", made.secret);
    send_json(responder, 201, answer, {{"Cache-Control", "no-store"}});
}

void audit_page(const std::filesystem::path& folder, const HttpRequest& request, Responder& responder) {
    const std::uint64_t limit = number_query(request, "limit", 100, 1000);
    const std::uint64_t before = number_query(request, "before", 0, std::uint64_t{1} << 53U);
    const auto replicas = access::audit_replicas(folder);
    const std::string replica(request.query("replica").value_or(
        std::ranges::find(replicas, "main") != replicas.end() || replicas.empty() ? "main" : replicas.front()));
    if (std::ranges::find(replicas, replica) == replicas.end())
        throw RequestError(404, ErrorKind::not_found, "There is no such replica.", {}, "replica");
    ValueList list;
    for (const access::AuditRecord& record : access::audit_tail(folder, replica, limit, before, scope(request)))
        list.emplace_back(access::audit_json(record));
    ValueList names;
    for (const std::string& name : replicas) names.emplace_back(name);
    send_json(
        responder, 200,
        ValueMap{{"replica", replica}, {"replicas", Value(std::move(names))}, {"entries", Value(std::move(list))}});
}

}  // namespace

std::vector<Route> Guard::routes() {
    const auto folder = access::audit_folder(options_.home);
    const access::Clock clock = options_.clock;
    std::vector<Route> rows;
    rows.push_back(row("GET", "/freehold/v1/keys", Role::operator_, "listKeys", "Keys, without their secrets", "",
                       [this, clock](const RequestPtr& request, const ResponderPtr& responder) {
                           list_keys(*this, clock, *request, *responder);
                       }));
    rows.push_back(row("POST", "/freehold/v1/keys", Role::operator_, "createKey",
                       "Make a key; its secret is in the answer, once", kNewKey,
                       [this, clock](const RequestPtr& request, const ResponderPtr& responder) {
                           create_key(*this, clock, *request, *responder);
                       }));
    rows.push_back(row("DELETE", "/freehold/v1/keys/{id}", Role::operator_, "revokeKey", "Revoke a key for good", kId,
                       [this, clock](const RequestPtr& request, const ResponderPtr& responder) {
                           const access::Key key = keys_->revoke(visible_key(*keys_, *request).id);
                           note_key(*responder, "revoked", key);
                           send_json(*responder, 200, access::key_json(key, clock()));
                       }));
    rows.push_back(row("POST", "/freehold/v1/keys/{id}/rotate", Role::operator_, "rotateKey",
                       "A new secret; the old one counts for the length of time under grace", kGrace,
                       [this, clock](const RequestPtr& request, const ResponderPtr& responder) {
                           const ValueMap fields = body_of(*request);
                           std::int64_t grace = 0;
                           if (const Value* span = fields.find("grace")) {
                               try {
                                   grace = access::parse_duration(span->as_string().value_or("?"));
                               } catch (const Error& fault) {
                                   throw field_error("grace", fault.message(), fault.hint());
                               }
                           }
                           const access::Key key = visible_key(*keys_, *request);
                           const std::optional<access::Key> own = own_key(*keys_, request->principal);
                           if (!own || own->id != key.id)
                               check_may_hand_out(own, request->principal, {key.roles, key.expires, key.models});
                           const auto made = keys_->rotate(key.id, grace);
                           note_key(*responder, "rotated", made.key);
                           ValueMap answer = access::key_json(made.key, clock());
                           answer.set("key", made.secret);
                           send_json(*responder, 200, answer, {{"Cache-Control", "no-store"}});
                       }));
    rows.push_back(
        row("GET", "/freehold/v1/usage", Role::operator_, "usage", "Tokens and requests by key, model and day", kDays,
            [this, clock](const RequestPtr& request, const ResponderPtr& responder) {
                const std::string today = access::time_text(clock()).substr(0, 10);
                ValueList list;
                for (const access::Use& use : limiter_->use(day_query(*request, "from", today.substr(0, 8) + "01"),
                                                            day_query(*request, "to", today), scope(*request)))
                    list.emplace_back(access::use_json(use));
                send_json(*responder, 200, ValueMap{{"usage", Value(std::move(list))}});
            }));
    rows.push_back(row("GET", "/freehold/v1/audit", Role::auditor, "audit", "Audit entries, newest first", kPage,
                       [this, folder](const RequestPtr& request, const ResponderPtr& responder) {
                           audit_->flush();
                           audit_page(folder, *request, *responder);
                       }));
    rows.push_back(row("GET", "/freehold/v1/audit/verify", Role::auditor, "verifyAudit",
                       "Holds the log against its hashes and signed heads", "",
                       [this, folder](const RequestPtr& request, const ResponderPtr& responder) {
                           audit_->checkpoint();
                           access::VerifyOptions how;
                           how.checkpoints = config_.audit_export;
                           if (texts_) texts_->flush();
                           send_json(*responder, 200,
                                     access::audit_state_json(access::verify_audit(folder, how),
                                                              access::verify_texts(folder), scope(*request)));
                       }));
    rows.push_back(row("GET", "/freehold/v1/audit/entries/{id}", Role::auditor, "auditEntry",
                       "The entry of a response, a request, or a number, with its texts where they are kept", kId,
                       [this, folder](const RequestPtr& request, const ResponderPtr& responder) {
                           audit_->flush();
                           const auto record = access::find_audit_entry(folder, request->param("id"));
                           if (!record || (!scope(*request).empty() && record->tenant != scope(*request)))
                               throw RequestError(404, ErrorKind::not_found, "There is no such entry.", {}, "id");
                           if (texts_) texts_->flush();
                           ValueMap answer = access::audit_json(*record);
                           answer.set("texts", access::texts_json(access::find_texts(folder, *record)));
                           send_json(*responder, 200, answer);
                       }));
    return rows;
}

}  // namespace freehold::server
