// Models that a tenant's key made over HTTP are that tenant's: nobody else uses, sees, replaces or removes them, and
// nobody but the host's tenant touches the host's. With an adapter of tests for a gate: the tenant is a header.
#include <gtest/gtest.h>

#include "freehold/base/hash.h"
#include "freehold/server/errors.h"
#include "freehold/server/guard.h"
#include "freehold/server/owner.h"
#include "freehold/store/pull.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;

class TenantByHeader final : public Gate {
 public:
    Principal admit(const HttpRequest& request, const Route&) override {
        Principal who;
        who.role = Role::operator_;
        who.keyed = true;
        who.tenant = std::string(request.header("x-tenant").value_or("default"));
        return who;
    }
    void check_listen(const std::string&, bool) const override {}
    [[nodiscard]] const char* kind() const noexcept override { return "key"; }
};

class Tenants : public ::testing::Test {
 protected:
    Tenants() {
        PullOptions options;
        options.as = ModelName::parse("stories:260k");
        Store store = fixture.pool().store();
        static_cast<void>(pull(store, std::string(FREEHOLD_TEST_DATA) + "/stories260K/stories260K.bin", options));
    }
    static Fixture::Settings settings() {
        Fixture::Settings s;
        s.gate = std::make_shared<TenantByHeader>();
        return s;
    }
    testing::Reply post(const std::string& tenant, const std::string& path, const ValueMap& body) {
        Client c(fixture.port());
        return c.post(path, to_json(body), "X-Tenant: " + tenant + "\r\n");
    }
    testing::Reply get(const std::string& tenant, const std::string& path) {
        Client c(fixture.port());
        return c.get(path, "X-Tenant: " + tenant + "\r\n");
    }
    int create(const std::string& tenant, const std::string& name, const std::string& system) {
        return post(tenant, "/api/create",
                    {{"model", name}, {"from", "stories:260k"}, {"system", system}, {"stream", false}})
            .status;
    }
    int remove(const std::string& tenant, const std::string& name) {
        Client c(fixture.port());
        const std::string body = to_json(ValueMap{{"model", name}});
        c.send("DELETE /api/delete HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Tenant: " +
               tenant + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        return c.reply().status;
    }

    Fixture fixture{settings()};
};

TEST_F(Tenants, MakeModelsOfTheirOwn) {
    ASSERT_EQ(create("red", "secret", "The secret of red."), 200);
    EXPECT_NE(post("red", "/api/show", {{"model", "secret"}}).body.find("The secret of red."), std::string::npos);
    const ValueMap prompt{{"model", "secret"}, {"prompt", "Once"}, {"max_tokens", 2}, {"content", "a"}};
    const ValueMap input{{"model", "secret"}, {"input", "a"}};
    EXPECT_EQ(post("red", "/v1/completions", prompt).status, 200);
    for (const std::string tenant : {"blue", "default"}) {
        for (const char* path : {"/api/show", "/v1/completions", "/tokenize", "/api/generate", "/v1/responses",
                                 "/v1/embeddings", "/v1/responses/input_tokens"}) {
            const bool takes_input =
                std::string_view(path).find("/v1/responses") == 0 || path == std::string_view("/v1/embeddings");
            const auto reply = post(tenant, path, takes_input ? input : prompt);
            EXPECT_EQ(reply.status, 404) << tenant << " " << path << " " << reply.body;
            EXPECT_EQ(reply.body.find("The secret"), std::string::npos) << path;
        }
        for (const char* path : {"/api/tags", "/v1/models", "/freehold/v1/models", "/api/ps", "/freehold/v1/status",
                                 "/v1/models/secret", "/freehold/v1/models/secret"})
            EXPECT_EQ(get(tenant, path).body.find("secret:latest"), std::string::npos) << path;
        EXPECT_EQ(post(tenant, "/api/create", {{"model", "mine"}, {"from", "secret"}, {"stream", false}}).status, 404);
        EXPECT_EQ(post(tenant, "/api/copy", {{"source", "secret"}, {"destination", "mine"}}).status, 404);
    }
    EXPECT_NE(get("red", "/api/tags").body.find("secret:latest"), std::string::npos);
    EXPECT_EQ(create("blue", "secret", "Taken over."), 403);
    EXPECT_EQ(create("blue", "secret:other", "Beside it."), 403);
    EXPECT_EQ(remove("blue", "secret"), 404);
    EXPECT_EQ(create("red", "secret", "A new secret."), 200);  // his own
    EXPECT_EQ(remove("red", "secret"), 200);
    ASSERT_EQ(create("red", "secret", "Again."), 200);
    EXPECT_EQ(remove("default", "secret"), 200);  // who runs the disk may clear it
}

TEST_F(Tenants, LeaveTheHostsModelsAlone) {
    EXPECT_EQ(create("red", "stories:260k", "You work for red."), 403);
    EXPECT_EQ(create("red", "stories:new", "You work for red."), 403);  // "stories" would mean two
    EXPECT_EQ(post("red", "/api/copy", {{"source", "stories"}, {"destination", "mine"}}).status, 403);
    EXPECT_EQ(post("red", "/api/copy", {{"source", "stories"}, {"destination", "stories:260k"}}).status, 403);
    EXPECT_EQ(remove("red", "stories"), 403);
    EXPECT_EQ(post("blue", "/api/show", {{"model", "stories"}}).body.find("work for red"), std::string::npos);
    EXPECT_EQ(fixture.pool().default_model(), "stories:260k");
    ASSERT_EQ(create("red", "own", "You work for red."), 200);
    EXPECT_EQ(fixture.pool().default_model(), "stories:260k");  // for everybody else it is still the only one
    // What the host made is everybody's.
    EXPECT_EQ(create("default", "teller", "You tell stories."), 200);
    EXPECT_NE(post("blue", "/api/show", {{"model", "teller"}}).body.find("You tell stories."), std::string::npos);
    // The empty text takes a system message away again.
    EXPECT_EQ(create("default", "teller", ""), 200);
    const std::string shown = post("blue", "/api/show", {{"model", "teller"}}).body;
    EXPECT_EQ(shown.find("You tell stories."), std::string::npos) << shown;
}

// Numbers of a model name it; who runs the machine reads them all.
TEST_F(Tenants, NumbersNameNoModelOfOthers) {
    ASSERT_EQ(create("red", "secret", "Red."), 200);
    for (const char* model : {"secret", "stories:260k"})
        ASSERT_EQ(post("red", "/v1/completions", {{"model", model}, {"prompt", "Once"}, {"max_tokens", 2}}).status,
                  200);
    const auto names = [&](const std::string& tenant, const std::string& model) {
        const auto reply = get(tenant, "/metrics");
        EXPECT_EQ(reply.status, 200);
        EXPECT_NE(reply.body.find("freehold_generations_total{outcome=\"finished\"} 2\n"), std::string::npos) << tenant;
        return reply.body.find("freehold_completion_tokens_total{model=\"" + model + "\"}") != std::string::npos;
    };
    for (const char* tenant : {"red", "blue", "default"}) {
        EXPECT_TRUE(names(tenant, "stories:260k")) << tenant;
        EXPECT_EQ(names(tenant, "secret:latest"), tenant != std::string("blue")) << tenant;
    }
    EXPECT_EQ(get("blue", "/metrics").body.find("secret"), std::string::npos);
    ASSERT_EQ(remove("red", "secret"), 200);
    EXPECT_EQ(get("blue", "/metrics").body.find("secret"), std::string::npos) << "the numbers outlive the model";
}

// What is pulled is the host's: it takes no name that a tenant's model has.
TEST_F(Tenants, PullsTakeNoNameOfATenant) {
    struct Refuser final : Puller {
        std::shared_ptr<void> start(const std::string& what, std::function<void(const PullEvent&)>) override {
            throw Error(ErrorKind::denied, "asked for " + what);
        }
    } puller;
    fixture.service().puller = &puller;
    ASSERT_EQ(create("red", "smollm2:135m", "Red."), 200);
    for (const std::string tenant : {"blue", "red", "default"}) {
        for (const std::string name : {"smollm2", "smollm2:135m"}) {
            const auto reply = post(tenant, "/api/pull", {{"model", name}, {"stream", false}});
            EXPECT_EQ(reply.status, 403) << reply.body;
            EXPECT_NE(reply.body.find("is taken"), std::string::npos) << reply.body;
        }
        EXPECT_NE(post(tenant, "/api/pull", {{"model", "gemma3:270m"}, {"stream", false}}).body.find("asked for"),
                  std::string::npos);
    }
    const Store store = fixture.pool().store();
    EXPECT_THROW(check_pulled_name(store, ModelName::parse("smollm2:other")), RequestError);
    EXPECT_NO_THROW(check_pulled_name(store, ModelName::parse("stories:other")));
    // Nor does the host make a model in the place of a tenant's; to remove it he may.
    EXPECT_EQ(create("default", "smollm2:135m", "Host."), 403);
    EXPECT_EQ(remove("default", "smollm2:135m"), 200);
    EXPECT_EQ(create("default", "smollm2:135m", "Host."), 200);
}

// What Ollama's clients read of a created model: they make the same again of it.
TEST_F(Tenants, ShowSaysWhatAModelWasMadeOf) {
    const ValueList messages{Value(ValueMap{{"role", "user"}, {"content", "Who\nare you?"}}),
                             Value(ValueMap{{"role", "assistant"}, {"content", "A teller."}})};
    ASSERT_EQ(post("red", "/api/create",
                   {{"model", "teller"},
                    {"from", "stories:260k"},
                    {"system", "You tell \"stories\"."},
                    {"template", "{{ .System }} {{ .Prompt }}"},
                    {"parameters", ValueMap{{"temperature", 0.5}, {"stop", ValueList{Value("END"), Value("a b ")}}}},
                    {"messages", messages},
                    {"license", "MIT"},
                    {"stream", false}})
                  .status,
              200);
    const auto shown = [&](const std::string& tenant, const std::string& name) {
        const auto reply = post(tenant, "/api/show", {{"model", name}});
        EXPECT_EQ(reply.status, 200) << reply.body;
        return reply.json();
    };
    const auto text = [](const Value& in, const char* key) {
        return std::string(find(*in.get<ValueMap>(), key)->as_string().value_or("?"));
    };
    const Value teller = shown("red", "teller");
    EXPECT_EQ(text(teller, "modelfile"),
              "# The model teller:latest of this machine. To make one of it, replace FROM by:\n"
              "# FROM teller:latest\n\n"
              "FROM stories:260k\n"
              "TEMPLATE {{ .System }} {{ .Prompt }}\n"
              "SYSTEM \"\"\"You tell \"stories\".\"\"\"\n"
              "PARAMETER temperature 0.5\n"
              "PARAMETER stop END\n"
              "PARAMETER stop \"\"\"a b \"\"\"\n"
              "LICENSE MIT\n"
              "MESSAGE user \"\"\"Who\nare you?\"\"\"\n"
              "MESSAGE assistant A teller.\n");
    EXPECT_EQ(text(*find(*teller.get<ValueMap>(), "details"), "parent_model"), "stories:260k");
    EXPECT_EQ(text(teller, "system"), "You tell \"stories\".");
    EXPECT_EQ(to_json(*find(*teller.get<ValueMap>(), "messages")), to_json(Value(messages)));
    // Made of a model that is not here any more, or that he may not see: of itself.
    ASSERT_EQ(post("red", "/api/create", {{"model", "second"}, {"from", "teller"}, {"stream", false}}).status, 200);
    EXPECT_NE(text(shown("red", "second"), "modelfile").find("\nFROM teller:latest\n"), std::string::npos);
    ASSERT_EQ(remove("red", "teller"), 200);
    EXPECT_NE(text(shown("red", "second"), "modelfile").find("\nFROM second:latest\n"), std::string::npos);
    EXPECT_EQ(text(*find(*shown("red", "second").get<ValueMap>(), "details"), "parent_model"), "");
}

// What a model was created with counts wherever its prompt is counted or shown.
TEST_F(Tenants, PromptsAreCountedWithTheSystemMessage) {
    const std::string jinja = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    for (const auto& [name, system] :
         {std::pair{"plain", ""}, std::pair{"led", "Speak of the sea and of nothing else."}})
        ASSERT_EQ(
            post(
                "red", "/api/create",
                {{"model", name}, {"from", "stories:260k"}, {"template", jinja}, {"system", system}, {"stream", false}})
                .status,
            200);
    const auto count = [&](const char* path, const char* model, const char* field) {
        const auto reply = post("red", path,
                                {{"model", model},
                                 {"input", "hi"},
                                 {"messages", ValueList{Value(ValueMap{{"role", "user"}, {"content", "hi"}})}}});
        EXPECT_EQ(reply.status, 200) << reply.body;
        const Value json = reply.json();
        const Value* n = json.get<ValueMap>()->find(field);
        return n == nullptr ? std::int64_t{0} : n->as_int().value_or(static_cast<std::int64_t>(n->size()));
    };
    for (const auto& [path, field] :
         {std::pair{"/v1/messages/count_tokens", "input_tokens"},
          std::pair{"/v1/responses/input_tokens", "input_tokens"}, std::pair{"/apply-template", "tokens"}})
        EXPECT_GT(count(path, "led", field), count(path, "plain", field) + 5) << path;
}

// A digest is no secret: knowing one opens neither a blob that others sent nor the weights of a model that one may not
// use.
TEST_F(Tenants, BlobsAreOfWhoSentThem) {
    const std::string bytes = "what red sent";
    const std::string sent = "sha256:" + sha256_hex(std::as_bytes(std::span(bytes)));
    const auto has = [&](const std::string& tenant, const std::string& digest) {
        Client c(fixture.port());
        c.send("HEAD /api/blobs/" + digest + " HTTP/1.1\r\nHost: localhost\r\nX-Tenant: " + tenant + "\r\n\r\n");
        return c.reply(true).status;
    };
    const auto send = [&](const std::string& tenant) {
        Client c(fixture.port());
        return c.post("/api/blobs/" + sent, bytes, "X-Tenant: " + tenant + "\r\n");
    };
    ASSERT_EQ(send("red").status, 201);
    EXPECT_EQ(has("red", sent), 200);
    for (const std::string other : {"blue", "default"}) EXPECT_EQ(has(other, sent), 404) << other;
    const ValueMap create{{"model", "stolen"}, {"files", ValueMap{{"m.gguf", sent}}}, {"stream", false}};
    const auto refused = post("blue", "/api/create", create);
    EXPECT_EQ(refused.status, 400);
    EXPECT_NE(refused.body.find("has not been sent"), std::string::npos) << refused.body;
    EXPECT_EQ(send("blue").status, 201) << "who has the bytes may send them too";
    EXPECT_EQ(has("blue", sent), 200);
    // What they sent is no model, and that is theirs to mend.
    const auto no_model = post("blue", "/api/create", create);
    EXPECT_EQ(no_model.status, 400) << no_model.body;
    EXPECT_EQ(no_model.body.find(fixture.pool().store().home().string()), std::string::npos) << no_model.body;
    EXPECT_EQ(has("red", sent), 200);
    // The weights of a model of the host are everybody's whose key may use it, and of a tenant's model that tenant's.
    const std::string weights = fixture.pool().store().get(ModelName::parse("stories:260k")).files.at(0).digest;
    EXPECT_EQ(has("blue", weights), 200);
    Store store = fixture.pool().store();
    StoredModel model = store.get(ModelName::parse("stories:260k"));
    model.record.extra.set("tenant", "red");
    std::vector<NewFile> files;
    for (const StoredFile& f : model.files)
        files.push_back({f.path, store.file_path(f), f.digest, NewFile::How::copy, true});
    store.add(model.name, files, model.record);
    EXPECT_EQ(has("red", weights), 200);
    EXPECT_EQ(has("blue", weights), 404);
}

TEST_F(Tenants, WhatAClientGotWrongIsNoFaultOfTheServer) {
    const auto broken = post("red", "/api/create",
                             {{"model", "x"}, {"from", "stories:260k"}, {"template", "{% if %}"}, {"stream", false}});
    EXPECT_EQ(broken.status, 400) << broken.body;
}

}  // namespace
}  // namespace freehold::server
