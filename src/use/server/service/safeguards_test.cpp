// Safeguards on a live server over the story model: what is refused on its way in, kept back on its way out, in every
// dialect; what a guard that cannot judge does; what /v1/moderations answers; what the books are told.
#include "freehold/server/safeguards.h"

#include <future>
#include <mutex>

#include "freehold/base/file.h"
#include "freehold/safeguards/config.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;
using testing::Reply;

constexpr const char* kHouse = R"(guards:
  - name: house
    apply: [input]
    rules: [{name: secret, category: trade-secret, words: [moonshot]}, {name: rude, category: hate, words: [blockhead]}]
    fires_on: [moonshot]
  - name: watcher
    apply: [input, output]
    action: flag
    rules: [{name: once, category: fairy-tale, words: [once, the, a, was]}]
    fires_on: ["Once upon"]
)";
// Every story has one of these.
constexpr const char* kHolds = R"(guards:
  - name: house
    apply: [output]
    rules: [{name: tale, category: fairy-tale, words: [the, a, was, and, to, she, he, it]}]
    fires_on: ["the"]
)";

struct GuardedServer {
    explicit GuardedServer(const std::string& file) {
        write_text_atomic(scratch / "s.yaml", file);
        fixture.generator().guard_with(std::make_shared<Safeguards>(safeguards::load_config(scratch / "s.yaml"),
                                                                    fixture.generator(), fixture.metrics()));
    }
    freehold::testing::Scratch scratch;
    Fixture fixture;
    Client client{fixture.port()};
    Reply post(const std::string& path, const std::string& body) { return client.post(path, body); }
};

std::string text_at(const Value& value, std::string_view path) {
    const Value* at = &value;
    for (std::size_t begin = 0; begin <= path.size() && at != nullptr;) {
        const std::size_t end = std::min(path.find('.', begin), path.size());
        const std::string key(path.substr(begin, end - begin));
        if (const auto* list = at->get<ValueList>()) {
            const std::size_t i = std::stoul(key);
            at = i < list->size() ? &(*list)[i] : nullptr;
        } else {
            const auto* map = at->get<ValueMap>();
            at = map == nullptr ? nullptr : map->find(key);
        }
        begin = end + 1;
    }
    if (at == nullptr) return "(nothing)";
    return at->as_string() ? std::string(*at->as_string()) : to_json(*at);
}

TEST(ServedSafeguards, ModerationWithoutThemSaysHowToConfigure) {
    Fixture fixture;
    Client client(fixture.port());
    const Reply reply = client.post("/v1/moderations", R"({"input":"x"})");
    EXPECT_EQ(reply.status, 400);
    EXPECT_NE(reply.body.find("--safeguards FILE"), std::string::npos);
    EXPECT_EQ(text_at(reply.json(), "error.code"), "safeguards_not_configured");
}

TEST(ServedSafeguards, ModerationHasTheShape) {
    GuardedServer s(kHouse);
    const Value one = s.post("/v1/moderations", R"({"input":"You blockhead","model":"omni-moderation-latest"})").json();
    EXPECT_EQ(text_at(one, "results.0.flagged"), "true");
    EXPECT_EQ(text_at(one, "results.0.categories.hate"), "true");
    EXPECT_EQ(text_at(one, "results.0.categories.violence"), "false");
    EXPECT_EQ(text_at(one, "results.0.categories.trade-secret"), "false");
    EXPECT_EQ(text_at(one, "results.0.category_applied_input_types.sexual/minors"), R"(["text"])");
    const Value many = s.post("/v1/moderations", R"({"input":["harmless","Moonshot!"]})").json();
    EXPECT_EQ(text_at(many, "results.0.flagged"), "false");
    EXPECT_EQ(text_at(many, "results.1.categories.trade-secret"), "true");
    const Value parts =
        s.post("/v1/moderations", R"({"input":[{"type":"text","text":"moon"},{"type":"text","text":"moonshot"}]})")
            .json();
    EXPECT_EQ(text_at(parts, "results.0.flagged"), "true");
    EXPECT_EQ(text_at(parts, "results.1.flagged"), "(nothing)");
    for (const char* wrong :
         {R"({})", R"({"input":[]})", R"({"input":3})", R"({"input":["a",{"type":"text","text":"b"}]})",
          R"({"input":[{"type":"image_url","image_url":{"url":"x"}}]})", R"({"input":[[1]]})"}) {
        EXPECT_EQ(s.post("/v1/moderations", wrong).status, 400) << wrong;
    }
}

TEST(ServedSafeguards, APromptIsRefusedInEveryDialect) {
    GuardedServer s(kHouse);
    const Reply completion = s.post("/v1/completions", R"({"model":"stories","prompt":"The moonshot","max_tokens":4})");
    EXPECT_EQ(completion.status, 400);
    EXPECT_EQ(text_at(completion.json(), "error.code"), "content_policy_violation");
    EXPECT_NE(completion.body.find("trade-secret"), std::string::npos);
    EXPECT_EQ(s.post("/v1/completions", R"({"model":"stories","prompt":["fine","moonshot"],"max_tokens":4})").status,
              400);
    EXPECT_EQ(
        s.post("/v1/completions", R"({"model":"stories","prompt":"Moonshot","max_tokens":4,"stream":true})").status,
        400);
    EXPECT_EQ(s.post("/api/generate", R"({"model":"stories","prompt":"A moonshot","raw":true})").status, 400);
    // Also what is written as token ids, not as text.
    const Value ids = s.post("/tokenize", R"({"model":"stories","content":"a blockhead","add_special":false})").json();
    EXPECT_EQ(s.post("/v1/completions", R"({"model":"stories","max_tokens":2,"prompt":)" + text_at(ids, "tokens") + "}")
                  .status,
              400);
    const Reply fine = s.post("/v1/completions", R"({"model":"stories","prompt":"Once","max_tokens":4})");
    EXPECT_EQ(fine.status, 200);  // only flagged
    const std::string metrics = s.fixture.metrics().text();
    EXPECT_NE(metrics.find(R"(freehold_safeguards_total{guard="house",verdict="refused"} 5)"), std::string::npos)
        << metrics;
    EXPECT_NE(metrics.find(R"(freehold_safeguards_total{guard="watcher",verdict="flagged"})"), std::string::npos);
    EXPECT_NE(metrics.find(R"(freehold_safeguards_seconds_count{guard="house"} 6)"), std::string::npos);
    EXPECT_TRUE(s.fixture.wait_idle());
}

TEST(ServedSafeguards, AnAnswerIsKeptBackInEveryDialect) {
    GuardedServer s(kHolds);
    const std::string ask = R"("model":"stories","prompt":"Once upon a time","max_tokens":40,"temperature":0)";
    const Reply whole = s.post("/v1/completions", "{" + ask + R"(,"logprobs":2,"n":2})");
    EXPECT_EQ(whole.status, 200);
    EXPECT_EQ(text_at(whole.json(), "choices.0.text"), "");
    EXPECT_EQ(text_at(whole.json(), "choices.0.finish_reason"), "content_filter");
    EXPECT_EQ(text_at(whole.json(), "choices.1.finish_reason"), "content_filter");
    EXPECT_EQ(text_at(whole.json(), "choices.0.logprobs.tokens"), "[]");
    EXPECT_EQ(text_at(whole.json(), "usage.completion_tokens"), "80");
    const Reply stream = s.post("/v1/completions", "{" + ask + R"(,"stream":true})");
    EXPECT_NE(stream.body.find(R"("finish_reason":"content_filter")"), std::string::npos);
    EXPECT_EQ(stream.body.find("there"), std::string::npos) << stream.body;
    EXPECT_NE(stream.body.find("[DONE]"), std::string::npos);
    const Reply ollama =
        s.post("/api/generate", R"({"model":"stories","prompt":"Once upon a time","options":{"num_predict":40}})");
    EXPECT_NE(ollama.body.find(R"("done_reason":"content_filter")"), std::string::npos) << ollama.body;
    EXPECT_NE(ollama.body.find(R"("response":"")"), std::string::npos);
    EXPECT_TRUE(s.fixture.wait_idle());
}

TEST(ServedSafeguards, WhatPassesIsTheSameAnswer) {
    const std::string ask =
        R"({"model":"stories","prompt":"Once upon a time","max_tokens":30,"temperature":0,"logprobs":1})";
    Fixture plain;
    Client client(plain.port());
    const Value without = client.post("/v1/completions", ask).json();
    std::string harmless = kHolds;
    harmless.replace(harmless.find("[the, a,"), 8, "[xyzzy, ");
    harmless.replace(harmless.find("was, and, to, she, he, it]"), 26, "xyzzyx]");
    harmless.replace(harmless.find("[\"the\"]"), 7, "[xyzzy]");
    GuardedServer s(harmless);
    const Value with = s.post("/v1/completions", ask).json();
    EXPECT_EQ(text_at(with, "choices"), text_at(without, "choices"));
    const Reply stream = s.post("/v1/completions", ask.substr(0, ask.size() - 1) + R"(,"stream":true})");
    EXPECT_EQ(stream.body.find("content_filter"), std::string::npos);
    EXPECT_NE(stream.body.find("there"), std::string::npos);
}

// The story model is no guard: it says neither safe nor unsafe, which is what a broken guard looks like.
constexpr const char* kModel = R"(unjudged: UNJUDGED
guards:
  - name: llama
    kind: model
    model: MODEL
    apply: [APPLY]
    fires_on: [x]
)";
std::string model_file(const std::string& unjudged, const std::string& model, const std::string& apply) {
    std::string text = kModel;
    for (const auto& [from, to] :
         {std::pair<std::string, std::string>{"UNJUDGED", unjudged}, {"MODEL", model}, {"APPLY", apply}})
        text.replace(text.find(from), from.size(), to);
    return text;
}

TEST(ServedSafeguards, AGuardModelThatCannotJudgeFailsAsItIsSet) {
    const std::string ask = R"({"model":"stories","prompt":"Once upon a time","max_tokens":8})";
    for (const char* model : {"stories", "not-there"}) {
        GuardedServer closed(model_file("refuse", model, "input"));
        const Reply refused = closed.post("/v1/completions", ask);
        EXPECT_EQ(refused.status, 503) << model;
        EXPECT_EQ(text_at(refused.json(), "error.code"), "safeguard_unavailable");
        EXPECT_EQ(closed.post("/v1/moderations", R"({"input":"x"})").status, 503);
        EXPECT_THROW(closed.fixture.generator().safeguards()->prove(), Error);
        GuardedServer open(model_file("pass", model, "input"));
        EXPECT_EQ(open.post("/v1/completions", ask).status, 200) << model;
        const Value told = open.post("/v1/moderations", R"({"input":"x"})").json();
        EXPECT_EQ(text_at(told, "results.0.unjudged"), R"(["llama"])");
        EXPECT_EQ(text_at(told, "results.0.flagged"), "false");
    }
    GuardedServer out(model_file("refuse", "stories", "output"));
    EXPECT_EQ(text_at(out.post("/v1/completions", ask).json(), "choices.0.finish_reason"), "content_filter");
    EXPECT_TRUE(out.fixture.wait_idle());
}

// The guard is the model that answers, and there is one place: the answer must have left it.
TEST(ServedSafeguards, AGuardOnTheSameModelDoesNotWaitForItself) {
    GuardedServer s(model_file("pass", "stories", "input, output"));
    EXPECT_EQ(s.post("/v1/completions", R"({"model":"stories","prompt":"Once","max_tokens":4,"n":3})").status, 200);
    EXPECT_TRUE(s.fixture.wait_idle());
}

struct Written final : Books {
    [[nodiscard]] std::unique_ptr<TokenHold> reserve(const std::string&, std::int64_t) override { return nullptr; }
    void asked(std::string_view) override {}
    void answered(std::string_view) override {}
    void judged(const std::string& decision, bool stopped) override {
        const std::lock_guard hold(mutex);
        decisions.push_back(decision + (stopped ? " STOP" : ""));
    }
    std::mutex mutex;
    std::vector<std::string> decisions;
};

TEST(ServedSafeguards, TheBooksHearOfEveryRun) {
    GuardedServer s(kHouse);
    const auto ask = [&](const std::string& prompt) {
        auto books = std::make_shared<Written>();
        auto ended = std::make_shared<std::promise<bool>>();
        GenerationRequest r;
        r.model = "stories";
        r.prompts = {TextPrompt{prompt}};
        r.max_tokens = 20;
        r.sampling.temperature = 0.0F;
        r.books = books;
        s.fixture.generator().start(std::move(r), [ended](Event&& event) {
            if (std::holds_alternative<AllDone>(event)) ended->set_value(true);
            if (std::holds_alternative<Failed>(event)) ended->set_value(false);
        });
        const bool fine = ended->get_future().get();
        return std::pair(fine, books->decisions);
    };
    const auto [fine, passed] = ask("Once upon a time");
    EXPECT_TRUE(fine);
    EXPECT_EQ(passed, (std::vector<std::string>{"input house: passed", "input watcher: flagged fairy-tale 1.00 (once)",
                                                "output watcher: flagged fairy-tale 1.00 (once)"}));
    const auto [other, refused] = ask("A moonshot");
    EXPECT_FALSE(other);
    EXPECT_EQ(refused, std::vector<std::string>{"input house: refused trade-secret 1.00 (secret) STOP"});
}

}  // namespace
}  // namespace freehold::server
