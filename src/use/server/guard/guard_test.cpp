// The gate with keys: every row of the server's own table is closed without one; wrong, expired, revoked and over-quota
// keys; roles; tenants that see nothing of each other; and what is recorded of it all.
#include "freehold/server/guard.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "freehold/server/errors.h"
#include "freehold/server/service.h"
#include "tests/support/scratch.h"

namespace freehold::server {
namespace {

using freehold::testing::Scratch;

// Keeps the answer instead of sending it.
class Kept final : public Responder {
 public:
    void send(int s, Headers, std::string b) override {
        status = s;
        body = std::move(b);
    }
    void begin(int s, Headers) override { status = s; }
    void write(std::string_view chunk) override { body += chunk; }
    void end() override {}
    [[nodiscard]] bool begun() const noexcept override { return status != 0; }
    [[nodiscard]] bool gone() const noexcept override { return false; }
    void on_gone(std::function<void()>) override {}
    void note(std::string key, Value value) override { notes.set(std::move(key), std::move(value)); }

    int status = 0;
    std::string body;
    ValueMap notes;
    [[nodiscard]] Value json() const { return parse_json(body, "answer"); }
};

struct GuardTest : ::testing::Test {
    Scratch scratch;
    std::int64_t now = 1'767'225'600'000;
    std::unique_ptr<Guard> guard = make();

    [[nodiscard]] std::unique_ptr<Guard> make() {
        GuardOptions options;
        options.home = scratch.path();
        options.clock = [this] { return now; };
        return std::make_unique<Guard>(options);
    }
    std::string key(const std::string& name, const std::string& role = "user", const std::string& tenant = "default") {
        access::NewKey wanted;
        wanted.name = name;
        wanted.roles = access::RoleSet::parse(role);
        wanted.tenant = tenant;
        return guard->keys().create(wanted).secret;
    }
    static HttpRequest request(const std::string& secret, const Route& route) {
        HttpRequest r;
        r.id = "req-1";
        r.method = route.method;
        r.path = route.pattern;
        r.peer = "127.0.0.1";
        r.peer_is_loopback = true;
        r.headers = {{"host", "localhost"}};
        if (!secret.empty()) r.headers.emplace_back("authorization", "Bearer " + secret);
        return r;
    }
    int admit(const std::string& secret, const Route& route) {
        try {
            static_cast<void>(guard->admit(request(secret, route), route));
            return 200;
        } catch (const RequestError& refused) {
            return refused.status();
        }
    }
    // Through the gate and the handler, as the server does it.
    Kept call(const std::string& secret, const char* method, const std::string& pattern, const std::string& body = {},
              const std::map<std::string, std::string, std::less<>>& params = {}) {
        auto kept = std::make_shared<Kept>();
        for (const Route& route : guard->routes()) {
            if (route.method != method || route.pattern != pattern) continue;
            auto r = std::make_shared<HttpRequest>(request(secret, route));
            r->body = body;
            r->params = params;
            try {
                r->principal = guard->admit(*r, route);
                route.handler(r, kept);
            } catch (const RequestError& fault) {
                kept->status = fault.status();
            } catch (const Error& fault) {
                kept->status = http_status(fault.kind());
            }
            return *kept;
        }
        ADD_FAILURE() << "no such row: " << method << " " << pattern;
        return *kept;
    }
};

Route chat_row() {
    Route route;
    route.method = "POST";
    route.pattern = "/v1/chat/completions";
    return route;
}

TEST_F(GuardTest, EveryRowIsClosedWithoutAKeyOnceThereIsOne) {
    Host host{HostOptions{}};
    const Store store = Store::open(scratch / "store");
    Metrics metrics;
    Workers workers(1);
    ModelPool pool(host, store, workers, {});
    Generator generator(pool, workers, metrics);
    Service service{pool, generator, workers, metrics, *guard, "test", {}, false, {}, {}, {}};
    std::vector<Route> routes = api_routes(service);
    for (Route& route : guard->routes()) routes.push_back(std::move(route));
    add_openapi_route(routes, "test");
    ASSERT_GT(routes.size(), 20U);
    for (const Route& route : routes) EXPECT_EQ(admit("", route), 200) << route.pattern << " on an open server";
    const std::string user = key("user"), all = key("all", "user,operator,auditor"), auditor = key("au", "auditor");
    int closed = 0;
    for (const Route& route : routes) {
        const std::string name = route.method + " " + route.pattern;
        EXPECT_EQ(admit(all, route), 200) << name;
        if (route.role == Role::everyone) continue;
        ++closed;
        EXPECT_EQ(admit("", route), 401) << name;
        EXPECT_EQ(admit("sk-anything", route), 401) << name;
        EXPECT_EQ(admit(user, route), route.role == Role::user ? 200 : 403) << name;
        if (route.pattern == "/freehold/v1/session" || route.pattern == "/freehold/v1/status" ||
            route.pattern.starts_with("/freehold/v1/audit")) {
            EXPECT_EQ(admit(auditor, route), 200) << name;
        }
    }
    EXPECT_GT(closed, 15);
    // What is public is listed here on purpose: a new row must not become so by accident.
    for (const Route& route : routes) {
        if (route.role != Role::everyone) continue;
        const bool expected = route.pattern == "/health" || route.pattern == "/ready" || route.pattern == "/" ||
                              route.pattern == "/openapi.json" || route.pattern == "/api/version" ||
                              route.method == "OPTIONS" || route.pattern.starts_with("/assets");
        EXPECT_TRUE(expected) << route.method << " " << route.pattern << " is public";
    }
}

TEST_F(GuardTest, WrongExpiredRevokedAndOverQuotaKeys) {
    access::NewKey wanted;
    wanted.name = "short";
    wanted.expires = now + 1000;
    const std::string expiring = guard->keys().create(wanted).secret;
    const std::string ended = key("ended");
    wanted.name = "small";
    wanted.expires.reset();
    wanted.limits.tokens_per_day = 10;
    const access::MadeKey small = guard->keys().create(wanted);
    wanted.name = "slow";
    wanted.limits = {};
    wanted.limits.requests_per_minute = 2;
    const std::string slow = guard->keys().create(wanted).secret;
    EXPECT_EQ(admit(expiring, chat_row()), 200);
    EXPECT_EQ(admit(ended, chat_row()), 200);
    now += 2000;
    guard->keys().revoke("ended");
    EXPECT_EQ(admit(expiring, chat_row()), 401);
    EXPECT_EQ(admit(ended, chat_row()), 401);
    EXPECT_EQ(admit(slow, chat_row()) + admit(slow, chat_row()), 400);
    EXPECT_EQ(admit(slow, chat_row()), 429);
    // What a request used is charged when it ends.
    const Route route = chat_row();
    auto r = std::make_shared<HttpRequest>(request(small.secret, route));
    r->principal = guard->admit(*r, route);
    ExchangeRecord record;
    record.request = r;
    record.route = &route;
    record.status = 200;
    record.completed = true;
    record.notes = {{"model", "smollm2:135m"},
                    {"digest", "sha256:" + std::string(64, 'a')},
                    {"prompt_tokens", 8},
                    {"completion_tokens", 3},
                    {"response_id", "chatcmpl-1"}};
    guard->observe(record);
    try {
        static_cast<void>(guard->admit(*r, route));
        FAIL() << "a key over its quota came in";
    } catch (const RequestError& refused) {
        EXPECT_EQ(refused.status(), 429);
        EXPECT_EQ(refused.retry_after(), 86'398);
    }
    guard->audit().flush();
    const auto entry = access::find_audit_entry(access::audit_folder(scratch.path()), "chatcmpl-1");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->key_id, small.key.id);
    EXPECT_EQ(entry->model, "smollm2:135m");
    EXPECT_EQ(entry->prompt_tokens, 8);
    EXPECT_EQ(entry->outcome, "ok");
    // The refusals are there too, and the log holds.
    int refused = 0;
    for (const auto& e : access::audit_tail(access::audit_folder(scratch.path()), "main", 100))
        refused += e.outcome == "refused";
    EXPECT_EQ(refused, 4);
    const std::string auditor = key("auditor", "auditor");
    EXPECT_EQ(call(auditor, "GET", "/freehold/v1/audit/verify").json().get<ValueMap>()->find("ok")->as_bool(), true);
}

TEST_F(GuardTest, TokensAreHeldBeforeAnAnswerAndCountedOnce) {
    access::NewKey wanted;
    wanted.name = "small";
    wanted.limits.tokens_per_day = 100;
    wanted.models = {"m"};
    const std::string secret = guard->keys().create(wanted).secret;
    const Route route = chat_row();
    const auto enter = [&](const char* id) {
        auto r = std::make_shared<HttpRequest>(request(secret, route));
        r->id = id;
        r->principal = guard->admit(*r, route);
        return r;
    };
    const auto refused = [](const auto& action) {
        try {
            static_cast<void>(action());
        } catch (const RequestError& fault) {
            return fault.status();
        }
        return 200;
    };
    const auto first = enter("req-1"), second = enter("req-2");  // nothing was used yet: both come in
    ASSERT_TRUE(first->principal.books);
    auto held = first->principal.books->reserve("m", 60);
    EXPECT_EQ(refused([&] { return second->principal.books->reserve("m", 60); }), 429);
    EXPECT_EQ(refused([&] { return second->principal.books->reserve("m", 101); }), 400);
    EXPECT_EQ(refused([&] { return second->principal.books->reserve("other", 1); }), 403);
    first->principal.books->asked("Why?");
    held->settle(10, 20);
    first->principal.books->answered("Because.");
    ExchangeRecord record;
    record.request = first;
    record.route = &route;
    record.status = 200;
    record.completed = true;
    record.notes = {{"model", "m"}, {"prompt_tokens", 10}, {"completion_tokens", 20}};
    guard->observe(record);
    EXPECT_EQ(refused([&] { return second->principal.books->reserve("m", 70); }), 200);  // 30 were used, not 60
    EXPECT_EQ(refused([&] { return second->principal.books->reserve("m", 71); }), 429);
    guard->audit().flush();
    const auto entry = access::find_audit_entry(access::audit_folder(scratch.path()), "req-1");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->prompt_digest, guard->audit().digest("Why?"));
    EXPECT_EQ(entry->completion_digest, guard->audit().digest("Because."));
    EXPECT_FALSE(std::filesystem::exists(access::audit_folder(scratch.path()) / "texts"));  // nobody asked for them
}

TEST_F(GuardTest, TextsAreKeptWhenConfiguredAndShownToAuditors) {
    guard.reset();
    freehold::testing::write_file(scratch / "access.json", R"({"audit":{"texts":true},"retention":{"texts":"2d"}})");
    guard = make();
    const std::string user = key("user"), auditor = key("auditor", "auditor"), other = key("o", "auditor", "other");
    const Route route = chat_row();
    auto r = std::make_shared<HttpRequest>(request(user, route));
    r->id = "req-text";
    r->principal = guard->admit(*r, route);
    auto held = r->principal.books->reserve("m", 3);
    r->principal.books->asked("the question");
    held->settle(2, 1);
    r->principal.books->answered("the answer");
    ExchangeRecord record;
    record.request = r;
    record.route = &route;
    record.status = 200;
    record.completed = true;
    guard->observe(record);
    const char* const entries = "/freehold/v1/audit/entries/{id}";
    const std::string seen = call(auditor, "GET", entries, "", {{"id", "req-text"}}).body;
    EXPECT_NE(seen.find("the question"), std::string::npos) << seen;
    EXPECT_NE(seen.find("the answer"), std::string::npos) << seen;
    EXPECT_EQ(call(other, "GET", entries, "", {{"id", "req-text"}}).status, 404);
    EXPECT_EQ(call(user, "GET", entries, "", {{"id", "req-text"}}).status, 403);
    const auto folder = access::audit_folder(scratch.path());
    const access::EraseWish all{now + 2 * 86'400'000, {}};
    EXPECT_EQ(access::erase_texts(folder, all), 1U);
    const auto whole = [&] {
        return call(auditor, "GET", "/freehold/v1/audit/verify").json().get<ValueMap>()->find("ok")->as_bool();
    };
    EXPECT_EQ(whole(), false) << "no entry tells of an erasure";
    guard->audit().append(access::erase_entry(all, 1));
    const std::string erased = call(auditor, "GET", entries, "", {{"id", "req-text"}}).body;
    EXPECT_EQ(erased.find("the question"), std::string::npos) << erased;
    EXPECT_EQ(whole(), true);
}

// Whoever makes, ends or renews a key leaves an entry that names it and what it may.
TEST_F(GuardTest, ChangesOfKeysAreRecordedByName) {
    const std::string oper = key("oper", "operator,user");
    const auto record = [&](const char* method, const std::string& pattern, const std::string& body,
                            const std::map<std::string, std::string, std::less<>>& params) {
        Route found;
        for (const Route& route : guard->routes()) {
            if (route.method == method && route.pattern == pattern) found = route;
        }
        const Kept kept = call(oper, method, pattern, body, params);
        auto r = std::make_shared<HttpRequest>(request(oper, found));
        r->params = params;
        r->principal = guard->admit(*r, found);
        ExchangeRecord exchange;
        exchange.request = r;
        exchange.route = &found;
        exchange.status = kept.status;
        exchange.completed = true;
        exchange.notes = kept.notes;
        guard->observe(exchange);
        guard->audit().flush();
        return access::audit_tail(access::audit_folder(scratch.path()), "main", 1).at(0);
    };
    const auto text = [](const access::AuditRecord& entry, const char* name) {
        const Value* value = entry.details.find(name);
        return value == nullptr ? std::string() : std::string(value->as_string().value_or(""));
    };
    const auto made = record("POST", "/freehold/v1/keys", R"({"name":"new","role":"user","models":["smol*"]})", {});
    const std::string id = guard->keys().get("new").id;
    EXPECT_EQ(made.kind, "key");
    EXPECT_EQ(made.status, 201);
    EXPECT_EQ(text(made, "what"), "created");
    EXPECT_EQ(text(made, "key"), id);
    EXPECT_EQ(text(made, "key_name"), "new");
    EXPECT_EQ(text(made, "role"), "user");
    EXPECT_EQ(text(made, "of"), "default");
    EXPECT_NE(to_json(Value(made.details)).find("smol*"), std::string::npos);
    EXPECT_NE(text(made, "by_roles").find("operator"), std::string::npos);
    EXPECT_EQ(made.name, "oper");
    EXPECT_EQ(text(record("POST", "/freehold/v1/keys/{id}/rotate", "{}", {{"id", id}}), "what"), "rotated");
    const auto revoked = record("DELETE", "/freehold/v1/keys/{id}", "", {{"id", id}});
    EXPECT_EQ(text(revoked, "what"), "revoked");
    EXPECT_EQ(text(revoked, "key_name"), "new");
    // What was refused changed nothing, and does not look as if it had.
    const auto refused = record("POST", "/freehold/v1/keys", R"({"name":"x","role":"root"})", {});
    EXPECT_EQ(refused.kind, "request");
    EXPECT_EQ(text(refused, "what"), "");
}

TEST_F(GuardTest, ListsNameOnlyModelsThatAKeyMayUse) {
    Host host{HostOptions{}};
    const Store store = Store::open(scratch / "store");
    Metrics metrics;
    Workers workers(1);
    PoolOptions pool_options;
    pool_options.aliases = {{"stories", std::string(FREEHOLD_TEST_DATA) + "/stories260K/stories260K.bin"}};
    pool_options.default_model = "stories";
    ModelPool pool(host, store, workers, pool_options);
    Generator generator(pool, workers, metrics);
    Service service{pool, generator, workers, metrics, *guard, "test", {}, false, {}, {}, {}};
    const ModelLease loaded = pool.acquire("stories");
    int seen = 0;
    for (const Route& route : api_routes(service)) {
        if (route.method != "GET" || (route.pattern != "/freehold/v1/status" && route.pattern != "/v1/models" &&
                                      route.pattern != "/freehold/v1/models" && route.pattern != "/api/tags" &&
                                      route.pattern != "/api/ps" && route.pattern != "/freehold/v1/session"))
            continue;
        ++seen;
        for (const bool allowed : {true, false}) {
            auto r = std::make_shared<HttpRequest>(request("", route));
            r->principal.models = {allowed ? "stor*" : "other"};
            const auto kept = std::make_shared<Kept>();
            route.handler(r, kept);
            EXPECT_EQ(kept->status, 200) << route.pattern;
            EXPECT_EQ(kept->body.find("stories") != std::string::npos, allowed) << route.pattern << kept->body;
        }
    }
    EXPECT_EQ(seen, 6);
}

TEST_F(GuardTest, RolesOpenWhatTheTableSays) {
    const std::string user = key("user"), oper = key("oper", "operator"), audi = key("audi", "auditor");
    EXPECT_EQ(admit(user, chat_row()), 200);
    EXPECT_EQ(admit(oper, chat_row()), 200);
    EXPECT_EQ(admit(audi, chat_row()), 403);
    EXPECT_EQ(call(user, "GET", "/freehold/v1/keys").status, 403);
    EXPECT_EQ(call(audi, "GET", "/freehold/v1/keys").status, 403);
    EXPECT_EQ(call(oper, "GET", "/freehold/v1/keys").status, 200);
    EXPECT_EQ(call(audi, "GET", "/freehold/v1/usage").status, 200);
    EXPECT_EQ(call(oper, "GET", "/freehold/v1/audit").status, 403);
    EXPECT_EQ(call(audi, "GET", "/freehold/v1/audit").status, 200);
    // An operator makes no auditor, and so nobody who reads about his own deeds for him.
    EXPECT_EQ(call(oper, "POST", "/freehold/v1/keys", R"({"name":"x","role":"auditor"})").status, 403);
    // Nor does he get the new secret of one that is there.
    const auto id_of = [&](const char* name) {
        for (const access::Key& k : guard->keys().list()) {
            if (k.name == name) return k.id;
        }
        return std::string();
    };
    const char* const rotate = "/freehold/v1/keys/{id}/rotate";
    const Kept refused = call(oper, "POST", rotate, "{}", {{"id", id_of("audi")}});
    EXPECT_EQ(refused.status, 403) << refused.body;
    EXPECT_EQ(call(audi, "GET", "/freehold/v1/audit").status, 200) << "the old secret still counts";
    EXPECT_EQ(call(oper, "POST", rotate, "{}", {{"id", id_of("user")}}).status, 200);
    const Kept made = call(oper, "POST", "/freehold/v1/keys", R"({"name":"x","limits":{"tokens_per_day":5}})");
    EXPECT_EQ(made.status, 201);
    const Value made_json = made.json();
    const auto* fields = made_json.get<ValueMap>();
    EXPECT_EQ(admit(std::string(*fields->find("key")->as_string()), chat_row()), 200);
    EXPECT_EQ(call(oper, "GET", "/freehold/v1/keys").body.find(*fields->find("key")->as_string()), std::string::npos);
    const std::string id(*fields->find("id")->as_string());
    EXPECT_EQ(call(oper, "DELETE", "/freehold/v1/keys/{id}", "", {{"id", id}}).status, 200);
    EXPECT_EQ(admit(std::string(*fields->find("key")->as_string()), chat_row()), 401);
    for (const char* body :
         {"", "[]", "{", R"({"name":5})", R"({"name":"y","rolle":"user"})", R"({"name":"y","role":"root"})",
          R"({"name":"y","limits":{"tokens_per_day":-1}})", R"({"name":"y","expires":"yesterday"})",
          R"({"name":"y","limits":{"tokens_per_day":1.5}})", R"({"name":"y","models":"all"})"})
        EXPECT_EQ(call(oper, "POST", "/freehold/v1/keys", body).status, 400) << body;
}

TEST_F(GuardTest, NobodyHandsOutMoreThanHeHas) {
    access::NewKey narrow;
    narrow.name = "narrow";
    narrow.roles = access::RoleSet::parse("operator,user");
    narrow.tenant = "alpha";
    narrow.models = {"minilm", "smol*"};
    narrow.expires = now + 3'600'000;
    const std::string maker = guard->keys().create(narrow).secret;
    const auto make = [&](const std::string& body) { return call(maker, "POST", "/freehold/v1/keys", body); };
    // What is not asked for is as the maker has it.
    const Kept plain = make(R"({"name":"plain"})");
    ASSERT_EQ(plain.status, 201) << plain.body;
    const access::Key made = guard->keys().get("plain");
    EXPECT_EQ(made.models, narrow.models);
    EXPECT_EQ(made.expires, narrow.expires);
    EXPECT_EQ(make(R"({"name":"a","models":["minilm:latest"]})").status, 201);
    EXPECT_EQ(make(R"({"name":"b","models":["smollm2*"],"expires":"30m"})").status, 201);
    for (const char* body : {R"({"name":"c","models":["gemma3"]})", R"({"name":"c","models":["minilm*"]})",
                             R"({"name":"c","models":["minilm","*"]})", R"({"name":"c","models":["minilm+x"]})",
                             R"({"name":"c","expires":"2h"})"})
        EXPECT_EQ(make(body).status, 403) << body;
    // A new secret of another key is one too; that of his own is his.
    access::NewKey wide;
    wide.name = "wide";
    wide.tenant = "alpha";
    const std::string id = guard->keys().create(wide).key.id;
    const char* const rotate = "/freehold/v1/keys/{id}/rotate";
    EXPECT_EQ(call(maker, "POST", rotate, "{}", {{"id", id}}).status, 403);
    EXPECT_EQ(call(maker, "POST", rotate, R"({"grace":"1h"})", {{"id", guard->keys().get("narrow").id}}).status, 200);
    // A quota handed out would be had twice.
    access::NewKey limited;
    limited.name = "limited";
    limited.roles = access::RoleSet::parse("operator,user");
    limited.limits.tokens_per_day = 100;
    const std::string poor = guard->keys().create(limited).secret;
    EXPECT_EQ(call(poor, "POST", "/freehold/v1/keys", R"({"name":"d","limits":{"tokens_per_day":1}})").status, 403);
    // Names are of a tenant: another's are neither taken nor told.
    const std::string beta = key("beta-oper", "operator", "beta");
    EXPECT_EQ(call(beta, "POST", "/freehold/v1/keys", R"({"name":"plain"})").status, 201);
    EXPECT_EQ(call(beta, "POST", "/freehold/v1/keys", R"({"name":"plain"})").status, 409);
    EXPECT_THROW(static_cast<void>(guard->keys().get("plain")), Error) << "two are meant";
}

TEST_F(GuardTest, TenantsDoNotSeeEachOther) {
    const std::string a = key("a-oper", "operator,auditor", "alpha"), b = key("b-oper", "operator,auditor", "beta");
    const std::string root = key("root", "operator,auditor");
    const auto keys_seen = [&](const std::string& secret) {
        const Value seen = call(secret, "GET", "/freehold/v1/keys").json();
        return seen.get<ValueMap>()->find("keys")->size();
    };
    EXPECT_EQ(keys_seen(a), 1U);
    EXPECT_EQ(keys_seen(b), 1U);
    EXPECT_EQ(keys_seen(root), 3U);
    const std::string b_id = guard->keys().get("b-oper").id;
    EXPECT_EQ(call(a, "DELETE", "/freehold/v1/keys/{id}", "", {{"id", b_id}}).status, 404);
    EXPECT_EQ(call(a, "DELETE", "/freehold/v1/keys/{id}", "", {{"id", "b-oper"}}).status, 404);
    EXPECT_EQ(call(a, "POST", "/freehold/v1/keys/{id}/rotate", "", {{"id", b_id}}).status, 404);
    EXPECT_EQ(call(a, "POST", "/freehold/v1/keys", R"({"name":"spy","tenant":"beta"})").status, 403);
    EXPECT_EQ(call(a, "POST", "/freehold/v1/keys", R"({"name":"own"})").status, 201);
    EXPECT_EQ(guard->keys().get("own").tenant, "alpha");
    const Route route = chat_row();
    auto r = std::make_shared<HttpRequest>(request(b, route));
    r->id = "req-beta";
    r->principal = guard->admit(*r, route);
    ExchangeRecord record;
    record.request = r;
    record.route = &route;
    record.status = 200;
    record.completed = true;
    record.notes = {{"model", "m"}, {"prompt_tokens", 8}};
    guard->observe(record);
    EXPECT_EQ(call(a, "GET", "/freehold/v1/audit").body.find("req-beta"), std::string::npos);
    EXPECT_NE(call(b, "GET", "/freehold/v1/audit").body.find("req-beta"), std::string::npos);
    EXPECT_EQ(call(a, "GET", "/freehold/v1/audit/entries/{id}", "", {{"id", "req-beta"}}).status, 404);
    EXPECT_EQ(call(b, "GET", "/freehold/v1/audit/entries/{id}", "", {{"id", "req-beta"}}).status, 200);
    // Counts of the installation tell of the others too.
    const Kept state = call(a, "GET", "/freehold/v1/audit/verify");
    EXPECT_EQ(state.json().get<ValueMap>()->find("ok")->as_bool(), true);
    EXPECT_EQ(state.json().get<ValueMap>()->find("chains")->size(), 0U) << state.body;
    EXPECT_LT(state.json().get<ValueMap>()->find("entries")->as_int(),
              call(root, "GET", "/freehold/v1/audit/verify").json().get<ValueMap>()->find("entries")->as_int());
    EXPECT_EQ(call(a, "GET", "/freehold/v1/usage").body.find("prompt_tokens"), std::string::npos);
    EXPECT_NE(call(b, "GET", "/freehold/v1/usage").body.find("prompt_tokens"), std::string::npos);
}

// A full disk is a limit on the size of files here. The door closes, says so to whoever watches, and opens by itself.
TEST_F(GuardTest, AFullDiskClosesTheDoorAndRoomOpensIt) {
    const std::string secret = key("a");
    const Route route = chat_row();
    guard->audit().flush();
    EXPECT_EQ(admit(secret, route), 200);
    EXPECT_EQ(guard->not_ready(), "");
    ::signal(SIGXFSZ, SIG_IGN);
    struct rlimit before {};
    ::getrlimit(RLIMIT_FSIZE, &before);
    struct rlimit small = before;
    small.rlim_cur = 10;
    ::setrlimit(RLIMIT_FSIZE, &small);
    auto r = std::make_shared<HttpRequest>(request(secret, route));
    r->id = "req-full";
    r->principal.tenant = "default";
    ExchangeRecord record;
    record.request = r;
    record.route = &route;
    record.status = 200;
    record.completed = true;
    guard->observe(record);
    EXPECT_THROW(guard->audit().flush(), Error);
    EXPECT_EQ(admit(secret, route), 503);
    EXPECT_NE(guard->not_ready(), "");
    ::setrlimit(RLIMIT_FSIZE, &before);
    for (int i = 0; i < 1000 && !guard->not_ready().empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(guard->not_ready(), "");
    EXPECT_EQ(admit(secret, route), 200);
    guard->audit().flush();
    EXPECT_TRUE(access::find_audit_entry(scratch / "audit", "req-full"));  // it waited, and is not lost
}

TEST_F(GuardTest, FloodsOfRefusalsDoNotFillTheLog) {
    key("a");
    const Route route = chat_row();
    ExchangeRecord record;  // what the observer gets of such a request: nobody was let in, so nobody is in it
    record.request = std::make_shared<HttpRequest>(request("", route));
    record.route = &route;
    record.completed = true;
    for (int i = 0; i < 500; ++i) {
        EXPECT_EQ(admit("", route), 401);
        record.status = i % 2 == 0 ? 401 : 403;
        guard->observe(record);
    }
    now += 1000;
    EXPECT_EQ(admit("", chat_row()), 401);
    guard->audit().flush();
    const auto records = access::audit_tail(access::audit_folder(scratch.path()), "main", 1000);
    EXPECT_EQ(records.size(), 23U);  // chain, start, 20 refusals, and the one that tells of the rest
    EXPECT_EQ(records[0].details.find("not_recorded_before")->as_int(), 480);
}

TEST_F(GuardTest, ListeningElsewhereNeedsAKey) {
    EXPECT_THROW(guard->check_listen("0.0.0.0", false), Error);
    guard->check_listen("127.0.0.1", true);
    EXPECT_STREQ(guard->kind(), "open");
    key("a");
    guard->check_listen("0.0.0.0", false);
    EXPECT_STREQ(guard->kind(), "key");
}

}  // namespace
}  // namespace freehold::server
