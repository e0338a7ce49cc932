// A live server over the small model of tests/data: the dialect of OpenAI, the same bits as the engine called directly,
// many clients, clients that go.
#include <atomic>
#include <cmath>
#include <thread>

#include "freehold/engine/chat.h"
#include "freehold/engine/session.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;

const Value& at(const Value& value, std::string_view path) {
    static const Value none;
    const auto* map = value.get<ValueMap>();
    const Value* found = map == nullptr ? nullptr : freehold::find(*map, path);
    return found == nullptr ? none : *found;
}
const Value& item(const Value& list, std::size_t i) {
    static const Value none;
    const auto* values = list.get<ValueList>();
    return values == nullptr || values->size() <= i ? none : (*values)[i];
}
std::string text_of(const Value& value) {
    return std::string(value.as_string().value_or("?"));
}

std::vector<Value> events_of(const std::string& body) {
    std::vector<Value> events;
    for (std::size_t at = body.find("data: "); at != std::string::npos; at = body.find("data: ", at + 1)) {
        const std::string line = body.substr(at + 6, body.find('\n', at) - at - 6);
        if (line != "[DONE]") events.push_back(parse_json(line, "event"));
    }
    return events;
}

class Live : public ::testing::Test {
 protected:
    Fixture fixture;
    std::uint16_t port() { return fixture.port(); }

    // What the engine says when it is called directly.
    std::string direct(const std::string& prompt, int tokens, std::uint64_t seed, float temperature) {
        const ModelLease lease = fixture.pool().acquire("stories");
        GenerateOptions o;
        o.max_tokens = tokens;
        o.sampler = recommended_sampler(*lease->model);
        o.sampler.temperature = temperature;
        o.sampler.seed = seed;
        o.cache = CacheUse::none;
        Engine engine(fixture.pool().host(), lease->model, EngineOptions{});
        return freehold::complete(engine, *lease->model, prompt, o).text;
    }
    std::string ask(Client& c, const std::string& prompt, int tokens, std::uint64_t seed, double temperature,
                    bool stream = false) {
        const auto reply = c.post("/v1/completions", to_json(ValueMap{{"model", "stories"},
                                                                      {"prompt", prompt},
                                                                      {"max_tokens", tokens},
                                                                      {"seed", static_cast<std::int64_t>(seed)},
                                                                      {"stream", stream},
                                                                      {"temperature", temperature}}));
        EXPECT_EQ(reply.status, 200) << reply.body;
        EXPECT_TRUE(reply.whole);
        if (!stream) return text_of(at(item(at(reply.json(), "choices"), 0), "text"));
        std::string text;
        for (const Value& event : events_of(reply.body)) text += text_of(at(item(at(event, "choices"), 0), "text"));
        EXPECT_NE(reply.body.find("data: [DONE]\n\n"), std::string::npos);
        return text;
    }
};

TEST_F(Live, SameTextAsTheEngineCalledDirectly) {
    Client c(port());
    for (const float temperature : {0.0F, 1.0F}) {
        const std::string want = direct("Once upon a time", 60, 7, temperature);
        EXPECT_EQ(ask(c, "Once upon a time", 60, 7, static_cast<double>(temperature)), want);
        EXPECT_EQ(ask(c, "Once upon a time", 60, 7, static_cast<double>(temperature), true), want);
        EXPECT_GT(want.size(), 50U);
    }
}

TEST_F(Live, SixteenAtOnceGetWhatEachGetsAlone) {
    std::vector<std::string> want, got(16);
    for (std::size_t i = 0; i < 16; ++i) want.push_back(direct("Story " + std::to_string(i) + ":", 40, i, 0.9F));
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < 16; ++i) {
        threads.emplace_back([&, i] {
            Client c(port());
            got[i] = ask(c, "Story " + std::to_string(i) + ":", 40, i, 0.9F, i % 2 == 1);
        });
    }
    for (auto& t : threads) t.join();
    for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(got[i], want[i]) << i;
    EXPECT_TRUE(fixture.wait_idle());
}

TEST_F(Live, EchoGivesLogProbabilitiesOfThePrompt) {
    Client c(port());
    const auto tokens = c.post("/tokenize", R"({"model":"stories","prompt":"Once upon a time"})").json();
    const auto& ids = at(tokens, "tokens");
    const std::size_t n = ids.size();
    ASSERT_GT(n, 3U);
    for (const int more : {0, 1}) {
        const auto reply =
            c.post("/v1/completions",
                   to_json(ValueMap{
                       {"prompt", ids}, {"max_tokens", more}, {"logprobs", 1}, {"echo", true}, {"temperature", 0}}));
        ASSERT_EQ(reply.status, 200) << reply.body;
        const Value json = reply.json();
        const Value& lp = at(item(at(json, "choices"), 0), "logprobs");
        ASSERT_EQ(at(lp, "tokens").size(), n + static_cast<std::size_t>(more));
        ASSERT_EQ(at(lp, "token_logprobs").size(), n + static_cast<std::size_t>(more));
        ASSERT_EQ(at(lp, "text_offset").size(), n + static_cast<std::size_t>(more));
        EXPECT_TRUE(item(at(lp, "token_logprobs"), 0).is_null());
        // The same numbers as the engine.
        const ModelLease lease = fixture.pool().acquire("stories");
        Engine engine(fixture.pool().host(), lease->model, EngineOptions{});
        Request r;
        for (std::size_t i = 0; i < n; ++i) r.prompt.push_back(static_cast<Token>(*ids.at(i).as_int()));
        r.max_tokens = 0;
        r.prompt_logprobs_from = 1;
        const Outcome o = engine.run(std::move(r));
        for (std::size_t i = 1; i < n; ++i) {
            EXPECT_EQ(static_cast<float>(*item(at(lp, "token_logprobs"), i).as_double()),
                      o.prompt_logprobs[i - 1].logprob);
        }
        EXPECT_EQ(text_of(at(item(at(json, "choices"), 0), "text")).starts_with("Once upon a time"), true);
    }
}

TEST_F(Live, ManyPromptsAndChoicesInOrder) {
    Client c(port());
    const auto reply =
        c.post("/v1/completions", R"({"prompt":["A","B","C"],"n":2,"max_tokens":5,"seed":3,"temperature":1})");
    ASSERT_EQ(reply.status, 200) << reply.body;
    const Value json = reply.json();
    const Value& choices = at(json, "choices");
    ASSERT_EQ(choices.size(), 6U);
    for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(at(item(choices, i), "index").as_int(), static_cast<std::int64_t>(i));
    EXPECT_NE(text_of(at(item(choices, 0), "text")), text_of(at(item(choices, 1), "text")));
    EXPECT_EQ(at(json, "usage.completion_tokens").as_int(), 30);
    // The first choice is what a request for one gives.
    EXPECT_EQ(text_of(at(item(choices, 2), "text")), ask(c, "B", 5, 3, 1.0));
}

TEST_F(Live, AnswersToOnePromptReadItOnce) {
    Client c(port());
    std::string prompt;
    for (int i = 0; i < 30; ++i) prompt += "Tom and Sam went to the park. ";
    const auto computed = [this] { return fixture.pool().acquire("stories")->engine->stats().prefill_tokens; };
    const auto tokens = c.post("/tokenize", to_json(ValueMap{{"prompt", prompt}})).json();
    const std::uint64_t length = at(tokens, "tokens").size();
    const std::uint64_t before = computed();
    const std::string body = to_json(
        ValueMap{{"prompt", prompt}, {"n", 5}, {"max_tokens", 8}, {"seed", 3}, {"temperature", 1}, {"stream", false}});
    const auto shared = c.post("/v1/completions", body).json();
    EXPECT_TRUE(fixture.wait_idle());
    const std::uint64_t once = computed() - before;
    EXPECT_GE(once, length);
    // The last page of a prompt is not whole, so each answer reads it for itself.
    EXPECT_LT(once, length + 5 * 64);
    // The same answers as without the cache, where everybody reads everything.
    const auto alone = c.post("/v1/completions", body.substr(0, body.size() - 1) + R"(,"cache_prompt":false})").json();
    EXPECT_TRUE(fixture.wait_idle());
    EXPECT_GE(computed() - before - once, 5 * length);
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(text_of(at(item(at(shared, "choices"), i), "text")),
                  text_of(at(item(at(alone, "choices"), i), "text")));
    }
}

TEST_F(Live, AClientThatGoesTakesTheAnswersThatWaitAlong) {
    std::string prompt;
    for (int i = 0; i < 300; ++i) prompt += "Tom and Sam went to the park. ";
    for (const int wait_ms : {0, 1, 3, 10, 30}) {
        Client c(port());
        c.start_post("/v1/completions", to_json(ValueMap{{"prompt", prompt.substr(0, 1200) + std::to_string(wait_ms)},
                                                         {"n", 6},
                                                         {"max_tokens", 100},
                                                         {"stream", true}}));
        std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
        c.close();
        EXPECT_TRUE(fixture.wait_idle()) << wait_ms;
    }
}

TEST_F(Live, StopStringsEndTheTextBeforeThem) {
    Client c(port());
    const std::string whole = ask(c, "Once upon a time", 60, 1, 0.0);
    const std::string stop = whole.substr(20, 6);
    const std::string want = whole.substr(0, whole.find(stop));
    for (const bool stream : {false, true}) {
        const auto reply = c.post("/v1/completions", to_json(ValueMap{{"prompt", "Once upon a time"},
                                                                      {"max_tokens", 60},
                                                                      {"temperature", 0},
                                                                      {"stream", stream},
                                                                      {"stop", ValueList{Value(stop)}}}));
        std::string text, finish;
        if (stream) {
            for (const Value& event : events_of(reply.body)) {
                text += text_of(at(item(at(event, "choices"), 0), "text"));
                if (!at(item(at(event, "choices"), 0), "finish_reason").is_null())
                    finish = text_of(at(item(at(event, "choices"), 0), "finish_reason"));
            }
        } else {
            text = text_of(at(item(at(reply.json(), "choices"), 0), "text"));
            finish = text_of(at(item(at(reply.json(), "choices"), 0), "finish_reason"));
        }
        EXPECT_EQ(text, want);
        EXPECT_EQ(finish, "stop");
    }
    EXPECT_TRUE(fixture.wait_idle());
}

TEST_F(Live, AClientThatGoesFreesItsPlace) {
    {
        Client warm(port());
        static_cast<void>(ask(warm, "A", 1, 0, 0));
    }
    for (const bool stream : {true, false}) {
        const auto before = fixture.generator().stats().cancelled;
        {
            Client c(port());
            c.start_post(
                "/v1/completions",
                to_json(ValueMap{
                    {"prompt", "Once"}, {"max_tokens", 500}, {"ignore_eos", true}, {"n", 24}, {"stream", stream}}));
            if (stream) {
                ASSERT_TRUE(c.wait_for("data: "));
            }
            for (int i = 0; i < 1000 && fixture.generator().stats().running == 0; ++i)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        EXPECT_TRUE(fixture.wait_idle());
        EXPECT_EQ(fixture.generator().stats().cancelled, before + 1) << stream;
    }
}

TEST_F(Live, FieldsAreCheckedAndNamed) {
    Client c(port());
    const auto param = [&](const std::string& body, const std::string& path = "/v1/completions") {
        const auto reply = c.post(path, body);
        EXPECT_EQ(reply.status, 400) << body << reply.body;
        const Value json = reply.json();
        EXPECT_EQ(text_of(at(json, "error.type")), "invalid_request_error");
        return at(json, "error.param").is_null() ? std::string() : text_of(at(json, "error.param"));
    };
    EXPECT_EQ(param(R"({"prompt":"a","temperature":-1})"), "temperature");
    EXPECT_EQ(param(R"({"prompt":"a","temperature":1e300})"), "temperature");
    EXPECT_EQ(param(R"({"prompt":"a","temperature":NaN})"), "");
    EXPECT_EQ(param(R"({"prompt":"a","temperature":"hot"})"), "temperature");
    EXPECT_EQ(param(R"({"prompt":"a","top_p":2})"), "top_p");
    EXPECT_EQ(param(R"({"prompt":"a","n":0})"), "n");
    EXPECT_EQ(param(R"({"prompt":"a","n":1.5})"), "n");
    EXPECT_EQ(param(R"({"prompt":"a","max_tokens":-7})"), "max_tokens");
    EXPECT_EQ(param(R"({"prompt":"a","max_tokens":99999999999999999999})"), "max_tokens");
    EXPECT_EQ(param(R"({"prompt":"a","logit_bias":{"x":1}})"), "logit_bias");
    EXPECT_EQ(param(R"({"prompt":"a","logprobs":99})"), "logprobs");
    EXPECT_EQ(param(R"({"prompt":"a","stop":[1]})"), "stop");
    EXPECT_EQ(param(R"({"prompt":"a","suffix":"b"})"), "suffix");
    EXPECT_EQ(param(R"({"prompt":"a","stream_options":{"include_usage":true}})"), "stream_options");
    EXPECT_EQ(param(R"({"prompt":"a","response_format":{"type":"json_object"}})"), "response_format");
    EXPECT_EQ(param(R"({"prompt":[]})"), "prompt");
    EXPECT_EQ(param(R"({"prompt":[-1]})"), "prompt");
    EXPECT_EQ(param(R"({"prompt":[511, 512]})"), "prompt");
    EXPECT_EQ(param(R"({"prompt":{}})"), "prompt");
    EXPECT_EQ(param(R"({})"), "prompt");
    EXPECT_EQ(param("[]"), "");
    EXPECT_EQ(param("{"), "");
    EXPECT_EQ(param(std::string(100000, '[')), "");
    EXPECT_EQ(param(R"({"messages":[]})", "/v1/chat/completions"), "messages");
    EXPECT_EQ(param(R"({"messages":[{"role":"king","content":"a"}]})", "/v1/chat/completions"), "messages[0].role");
    EXPECT_EQ(param(R"({"messages":[{"role":"user"}]})", "/v1/chat/completions"), "messages[0].content");
    EXPECT_EQ(param(R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})", "/v1/chat/completions"),
              "messages[0].content[0].type");
    EXPECT_EQ(param(R"({"messages":[{"role":"user","content":"a"}]})", "/v1/chat/completions"), "messages")
        << "base model";
    // Unknown fields are nobody's fault; a context that is too long is told with numbers.
    EXPECT_EQ(
        c.post("/v1/completions", R"({"prompt":"a","max_tokens":1,"user":"me","metadata":{},"frobnicate":1})").status,
        200);
    const auto reply = c.post("/v1/completions", R"({"prompt":"a","max_tokens":100000})");
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(text_of(at(reply.json(), "error.code")), "context_length_exceeded");
    EXPECT_NE(reply.body.find("512"), std::string::npos) << reply.body;
}

TEST_F(Live, ModelsAreFoundByNameOnly) {
    Client c(port());
    EXPECT_EQ(c.get("/v1/models").status, 200);
    EXPECT_EQ(text_of(at(c.get("/v1/models/stories").json(), "object")), "model");
    for (const char* name : {"nobody", "/etc/passwd", "../../etc/passwd", "./x", "a b", ""}) {
        const auto reply =
            c.post("/v1/completions", to_json(ValueMap{{"model", name}, {"prompt", "a"}, {"max_tokens", 1}}));
        if (*name == '\0') {
            EXPECT_EQ(reply.status, 200) << "the default model";
        } else {
            EXPECT_EQ(reply.status, 404) << name << reply.body;
            EXPECT_EQ(text_of(at(reply.json(), "error.code")), "model_not_found");
        }
    }
}

TEST_F(Live, EveryRouteIsInTheDocumentAndBack) {
    Client c(port());
    const Value document = c.get("/openapi.json").json();
    const auto* paths = at(document, "paths").get<ValueMap>();
    ASSERT_NE(paths, nullptr);
    std::size_t described = 0;
    for (const auto& [path, operations] : *paths) described += operations.get<ValueMap>()->size();
    EXPECT_EQ(described, fixture.server().routes().size());
    for (const Route& route : fixture.server().routes()) {
        std::string path = route.pattern, method = route.method;
        if (const auto dots = path.find("...}"); dots != std::string::npos) path.erase(dots, 3);
        std::ranges::transform(method, method.begin(),
                               [](unsigned char x) { return static_cast<char>(std::tolower(x)); });
        const Value* entry = paths->find(path);
        ASSERT_NE(entry, nullptr) << path;
        EXPECT_NE(entry->get<ValueMap>()->find(method), nullptr) << method << " " << path;
    }
}

TEST_F(Live, HealthAnswersWhileTheEngineIsBusy) {
    std::vector<std::unique_ptr<Client>> busy;
    for (int i = 0; i < 8; ++i) {
        busy.push_back(std::make_unique<Client>(port()));
        busy.back()->start_post("/v1/completions",
                                R"({"prompt":"Once","max_tokens":400,"ignore_eos":true,"stream":true,"n":4})");
    }
    Client c(port());
    for (int i = 0; i < 20; ++i) EXPECT_EQ(c.get("/health").status, 200);
    EXPECT_EQ(c.get("/ready").status, 200);
    const Value status = c.get("/freehold/v1/status").json();
    EXPECT_TRUE(at(status, "memory.budget").as_int().has_value());
    EXPECT_EQ(text_of(at(c.get("/freehold/v1/session").json(), "auth")), "open");
    busy.clear();
    EXPECT_TRUE(fixture.wait_idle());
    EXPECT_NE(c.get("/metrics").body.find("# TYPE freehold_time_to_first_token_seconds histogram"), std::string::npos);
}

TEST_F(Live, TokensThereAndBack) {
    Client c(port());
    const Value tokens = c.post("/tokenize", R"({"content":"Once upon a time","with_pieces":true})").json();
    EXPECT_GT(at(tokens, "tokens").size(), 3U);
    const Value ids = at(c.post("/tokenize", R"({"content":"Once upon a time"})").json(), "tokens");
    EXPECT_EQ(text_of(at(c.post("/detokenize", to_json(ValueMap{{"tokens", ids}})).json(), "content")),
              "Once upon a time");
    EXPECT_EQ(c.post("/detokenize", R"({"tokens":[99999]})").status, 400);
    EXPECT_EQ(at(c.get("/tokenizer_info").json(), "vocab_size").as_int(), 512);
}

TEST(Pool, LoadsOnceForManyAndLetsGo) {
    auto settings = Fixture::stories();
    const std::string path = settings.pool.aliases[0].second;
    settings.pool.keep_alive = std::chrono::milliseconds(200);
    Fixture f(settings);
    std::atomic<int> got{0};
    for (int i = 0; i < 10; ++i) {
        f.pool().acquire("stories", [&](const ModelLease& lease, const std::exception_ptr&) { got += lease ? 1 : 0; });
    }
    for (int i = 0; i < 1000 && got < 10; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(got, 10);
    EXPECT_EQ(f.pool().loads(), 1U);
    // A model leaves the list first and its memory after that.
    const auto here = [&] { return !f.pool().loaded().empty() || f.pool().host().memory().used() != 0; };
    for (int i = 0; i < 1000 && here(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(f.pool().loaded().empty());
    EXPECT_EQ(f.pool().evictions(), 1U);
    EXPECT_EQ(f.pool().host().memory().used(), 0U);
    EXPECT_THROW(static_cast<void>(f.pool().acquire("nobody")), Error);
}

TEST(Pool, AUsedModelIsNeverLetGoForAnother) {
    auto settings = Fixture::stories();
    const std::string path = settings.pool.aliases[0].second;
    freehold::testing::Scratch other;
    for (const char* file : {"stories260K.bin", "tok512.bin"}) {
        std::filesystem::copy_file(std::filesystem::path(path).parent_path() / file, other.path() / file);
    }
    settings.pool.aliases.emplace_back("other", (other.path() / "stories260K.bin").string());
    settings.pool.engine.kv_bytes = 4 << 20;
    settings.memory = 12 << 20;
    Fixture f(settings);
    {
        const ModelLease first = f.pool().acquire("stories");
        const auto used = f.pool().host().memory().used();
        ASSERT_GT(used * 2, f.pool().host().memory().limit()) << "the test wants room for one only";
        EXPECT_THROW(static_cast<void>(f.pool().acquire("other")), Error);
        EXPECT_EQ(f.pool().loaded().size(), 1U);
    }
    const ModelLease second = f.pool().acquire("other");
    EXPECT_EQ(second->name, "other");
    EXPECT_EQ(f.pool().loaded().size(), 1U);
    EXPECT_EQ(f.pool().evictions(), 1U);
}

// With a model that chats: FREEHOLD_TEST_MODELS names a folder that has smollm2.gguf.
class Chatting : public ::testing::Test {
 protected:
    void SetUp() override {
        const char* folder = std::getenv("FREEHOLD_TEST_MODELS");
        const auto path = std::filesystem::path(folder != nullptr ? folder : "") / "smollm2.gguf";
        if (folder == nullptr || !std::filesystem::exists(path))
            GTEST_SKIP() << "Set FREEHOLD_TEST_MODELS to a folder with smollm2.gguf.";
        Fixture::Settings s;
        s.memory = 4ULL << 30U;
        s.pool.aliases = {{"smollm2", path.string()}};
        s.pool.engine.context = 1024;
        fixture.emplace(std::move(s));
    }
    std::optional<Fixture> fixture;
};

TEST_F(Chatting, AnswersPlainAndStreamed) {
    Client c(fixture->port());
    const std::string body =
        R"("messages":[{"role":"user","content":"What is the capital of France?"}],"max_tokens":20,"temperature":0)";
    const auto plain = c.post("/v1/chat/completions", "{" + body + ",\"logprobs\":true,\"top_logprobs\":2}");
    ASSERT_EQ(plain.status, 200) << plain.body;
    const Value json = plain.json();
    const Value& choice = item(at(json, "choices"), 0);
    const std::string text = text_of(at(choice, "message.content"));
    // What the program says on a terminal.
    {
        const ModelLease lease = fixture->pool().acquire("smollm2");
        EngineOptions options;
        options.context = 1024;
        Engine engine(fixture->pool().host(), lease->model, options);
        Chat chat(engine, lease->model);
        chat.options.sampler.temperature = 0;
        chat.options.max_tokens = 20;
        EXPECT_EQ(chat.send("What is the capital of France?").text, text);
    }
    EXPECT_NE(at(choice, "message").get<ValueMap>()->find("refusal"), nullptr);
    const Value& first = item(at(choice, "logprobs.content"), 0);
    EXPECT_EQ(at(first, "top_logprobs").size(), 2U);
    EXPECT_EQ(text_of(at(first, "token")), text_of(at(item(at(first, "top_logprobs"), 0), "token")));
    std::string joined;
    for (std::size_t i = 0; i < at(choice, "logprobs.content").size(); ++i)
        joined += text_of(at(item(at(choice, "logprobs.content"), i), "token"));
    EXPECT_EQ(joined, text);
    const auto streamed =
        c.post("/v1/chat/completions", "{" + body + R"(,"stream":true,"stream_options":{"include_usage":true}})");
    ASSERT_EQ(streamed.status, 200);
    EXPECT_EQ(streamed.headers.at("content-type").substr(0, 17), "text/event-stream");
    std::string together;
    int roles = 0, finishes = 0;
    const auto events = events_of(streamed.body);
    for (const Value& event : events) {
        const Value& one = item(at(event, "choices"), 0);
        if (const auto piece = at(one, "delta.content").as_string()) {
            EXPECT_FALSE(piece->empty());
            together += *piece;
        }
        roles += at(one, "delta.role").is_null() ? 0 : 1;
        finishes += at(one, "finish_reason").is_null() ? 0 : 1;
    }
    EXPECT_EQ(together, text);
    EXPECT_EQ(roles, 1);
    EXPECT_EQ(finishes, 1);
    EXPECT_EQ(at(events.back(), "usage.prompt_tokens").as_int(), at(json, "usage.prompt_tokens").as_int());
    EXPECT_GT(at(events.back(), "usage.prompt_tokens_details.cached_tokens").as_int().value_or(0), 0);
    EXPECT_TRUE(streamed.body.ends_with("data: [DONE]\n\n"));
}

}  // namespace
}  // namespace freehold::server
