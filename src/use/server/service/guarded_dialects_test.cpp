// What a client of each dialect sees of a question and of an answer that a guard refuses, streamed and whole, what the
// audit log says of it, and the signs of life while an answer is held back. Over sockets, with keys on.
#include <fmt/format.h>

#include "freehold/access/audit.h"
#include "freehold/base/file.h"
#include "freehold/safeguards/config.h"
#include "freehold/server/guard.h"
#include "freehold/server/safeguards.h"
#include "freehold/store/pull.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;
using testing::Reply;

// Nobody asks for a moonshot, and no story gets by without one of the second guard's words.
constexpr const char* kGuards = R"(guards:
  - name: door
    apply: [input]
    rules: [{name: secret, category: trade-secret, words: [moonshot]}]
    fires_on: [moonshot]
  - name: censor
    apply: [output]
    rules: [{name: tale, category: fairy-tale, words: [CENSORED]}]
    fires_on: ["FIRST"]
)";
constexpr const char* kEveryStory = "the, a, was, and, to, she, he, it";

std::string guards(const std::string& words) {
    std::string text = kGuards;
    text.replace(text.find("CENSORED"), 8, words);
    text.replace(text.find("FIRST"), 5, words.substr(0, words.find(',')));
    return text;
}

struct Dialects : ::testing::Test {
    explicit Dialects(const std::string& words = kEveryStory, const char* action = "refuse") {
        access::NewKey wanted;
        wanted.name = "all";
        wanted.roles = access::RoleSet::parse("user,operator");
        key = guard->keys().create(wanted).secret;
        Fixture::Settings settings;
        settings.gate = guard;
        settings.http.observer = [g = guard](const ExchangeRecord& record) { g->observe(record); };
        fixture.emplace(std::move(settings));
        PullOptions options;
        options.as = ModelName::parse("stories");
        Store store = fixture->pool().store();
        static_cast<void>(pull(store, std::string(FREEHOLD_TEST_DATA) + "/stories260K/stories260K.bin", options));
        // The story model is a base model; with a template it answers conversations too.
        EXPECT_EQ(post("/api/create", R"({"model":"teller","from":"stories","stream":false,
                       "template":"{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}{{ .Response }}"})")
                      .status,
                  200);
        write_text_atomic(scratch / "guards.yaml", guards(words) + "    action: " + action + "\n");
        fixture->generator().guard_with(std::make_shared<Safeguards>(safeguards::load_config(scratch / "guards.yaml"),
                                                                     fixture->generator(), fixture->metrics()));
        fixture->generator().tell_held_every(std::chrono::milliseconds(0));
    }

    Reply post(const std::string& path, const std::string& body) {
        Client client(fixture->port());
        return client.post(path, body, "Authorization: Bearer " + key + "\r\n");
    }
    // The newest entry of a route.
    access::AuditRecord recorded(const std::string& route) {
        static_cast<void>(fixture->wait_idle());
        for (int i = 0; i < 500; ++i) {
            guard->audit().flush();
            auto all = access::audit_tail(access::audit_folder(scratch.path()), "main", 100);
            for (auto it = all.rbegin(); it != all.rend(); ++it) {
                if (it->route == "POST " + route) return *it;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        ADD_FAILURE() << route << " was not recorded";
        return {};
    }

    freehold::testing::Scratch scratch;
    std::shared_ptr<Guard> guard = [this] {
        GuardOptions options;
        options.home = scratch.path();
        return std::make_shared<Guard>(options);
    }();
    std::string key;
    std::optional<Fixture> fixture;
};

struct Dialect {
    const char *name, *path;
    // A request whose user says {0}, of 30 tokens; {1}: further fields.
    const char* body;
    const char *streams, *whole;  // the field that asks for either
};
constexpr const char* kAsOpenAi =
    R"({{"model":"teller","max_tokens":30,"temperature":0,"messages":[{{"role":"user","content":"{0}"}}],{1}}})";
const Dialect kDialects[] = {
    {"chat", "/v1/chat/completions", kAsOpenAi, R"("stream":true)", R"("stream":false)"},
    {"completions", "/v1/completions", R"({{"model":"teller","max_tokens":30,"temperature":0,"prompt":"{0}",{1}}})",
     R"("stream":true)", R"("stream":false)"},
    {"responses", "/v1/responses", R"({{"model":"teller","max_output_tokens":30,"temperature":0,"input":"{0}",{1}}})",
     R"("stream":true)", R"("stream":false)"},
    {"messages", "/v1/messages", kAsOpenAi, R"("stream":true)", R"("stream":false)"},
    {"generate", "/api/generate",
     R"({{"model":"teller","prompt":"{0}","options":{{"num_predict":30,"temperature":0}},{1}}})", R"("stream":true)",
     R"("stream":false)"},
    {"ollama chat", "/api/chat",
     R"({{"model":"teller","messages":[{{"role":"user","content":"{0}"}}],)"
     R"("options":{{"num_predict":30,"temperature":0}},{1}}})",
     R"("stream":true)", R"("stream":false)"},
};

std::string body_of(const Dialect& d, const std::string& said, bool streams) {
    return fmt::format(fmt::runtime(d.body), said, streams ? d.streams : d.whole);
}

Value at(const Value& value, std::string_view path) {
    const auto* map = value.get<ValueMap>();
    const Value* found = map == nullptr ? nullptr : freehold::find(*map, path);
    return found == nullptr ? Value() : *found;
}

TEST_F(Dialects, AQuestionIsRefusedWithAStatusAlsoWhereAStreamWasAskedFor) {
    for (const Dialect& d : kDialects) {
        for (const bool streams : {false, true}) {
            const Reply reply = post(d.path, body_of(d, "Tell me of the moonshot", streams));
            EXPECT_EQ(reply.status, 400) << d.name << reply.body;
            const Value json = reply.json();
            const std::string path = d.path;
            if (path.starts_with("/api/")) {
                EXPECT_NE(at(json, "error").as_string().value_or("").find("door refuses this request: trade-secret"),
                          std::string::npos)
                    << reply.body;
            } else if (path == "/v1/messages") {
                EXPECT_EQ(at(json, "type").as_string(), "error") << reply.body;
                EXPECT_EQ(at(json, "error.type").as_string(), "invalid_request_error");
                EXPECT_NE(reply.body.find("trade-secret"), std::string::npos);
            } else {
                EXPECT_EQ(at(json, "error.code").as_string(), "content_policy_violation") << d.name << reply.body;
                EXPECT_EQ(at(json, "error.type").as_string(), "invalid_request_error");
                EXPECT_NE(reply.body.find("trade-secret"), std::string::npos);
            }
            const access::AuditRecord entry = recorded(d.path);
            EXPECT_EQ(entry.outcome, "refused") << d.name;
            EXPECT_EQ(entry.status, 400);
            EXPECT_EQ(entry.safeguards, std::vector<std::string>{"input door: refused trade-secret 1.00 (secret)"});
            EXPECT_EQ(entry.completion_tokens, 0);
            EXPECT_FALSE(entry.prompt_digest.empty()) << "what was refused can be recognised";
        }
    }
}

TEST_F(Dialects, AnAnswerThatIsKeptBackIsEmptyAndSaysSo) {
    for (const Dialect& d : kDialects) {
        const Reply reply = post(d.path, body_of(d, "Once upon a time", false));
        ASSERT_EQ(reply.status, 200) << d.name << reply.body;
        const Value json = reply.json();
        const std::string name = d.name;
        if (name == "chat") {
            const Value choice = at(json, "choices").at(0);
            EXPECT_EQ(at(choice, "finish_reason").as_string(), "content_filter");
            EXPECT_EQ(at(choice, "message.content").as_string(), "");
            EXPECT_EQ(at(json, "usage.completion_tokens").as_int(), 30);
        } else if (name == "completions") {
            EXPECT_EQ(at(at(json, "choices").at(0), "finish_reason").as_string(), "content_filter");
            EXPECT_EQ(at(at(json, "choices").at(0), "text").as_string(), "");
        } else if (name == "responses") {
            EXPECT_EQ(at(json, "status").as_string(), "incomplete");
            EXPECT_EQ(at(json, "incomplete_details.reason").as_string(), "content_filter");
            EXPECT_EQ(at(json, "output").size(), 0U) << reply.body;
            EXPECT_EQ(at(json, "usage.output_tokens").as_int(), 30);
        } else if (name == "messages") {
            EXPECT_EQ(at(json, "stop_reason").as_string(), "refusal");
            EXPECT_EQ(at(json, "content").size(), 0U) << reply.body;
            EXPECT_EQ(at(json, "usage.output_tokens").as_int(), 30);
        } else {
            EXPECT_EQ(at(json, "done_reason").as_string(), "content_filter");
            EXPECT_EQ(at(json, name == "generate" ? "response" : "message.content").as_string(), "") << reply.body;
            EXPECT_EQ(at(json, "eval_count").as_int(), 30);
        }
        const access::AuditRecord entry = recorded(d.path);
        EXPECT_EQ(entry.outcome, "refused") << d.name;
        EXPECT_EQ(entry.status, 200);
        EXPECT_EQ(entry.safeguards,
                  (std::vector<std::string>{"input door: passed", "output censor: refused fairy-tale 1.00 (tale)"}));
        EXPECT_EQ(entry.completion_tokens, 30) << "what was written counts";
    }
}

// The names of the events, "data" for those that have none and "comment" for comments.
std::vector<std::string> events_of(const std::string& body, std::vector<Value>* values = nullptr) {
    std::vector<std::string> names;
    std::string name = "data";
    for (std::size_t begin = 0; begin < body.size();) {
        const std::size_t end = std::min(body.find('\n', begin), body.size());
        const std::string line = body.substr(begin, end - begin);
        begin = end + 1;
        if (line.starts_with(":")) names.emplace_back("comment");
        if (line.starts_with("event: ")) name = line.substr(7);
        if (!line.starts_with("data: ")) continue;
        names.push_back(std::exchange(name, "data"));
        if (values != nullptr && line != "data: [DONE]") values->push_back(parse_json(line.substr(6), "event"));
    }
    return names;
}

// Without repetitions that stand side by side.
std::vector<std::string> order_of(std::vector<std::string> names) {
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

TEST_F(Dialects, AStreamThatIsKeptBackEndsInTheOrderOfItsDialect) {
    using Names = std::vector<std::string>;
    for (const Dialect& d : kDialects) {
        const std::string name = d.name;
        const Reply reply = post(d.path, body_of(d, "Once upon a time", true));
        ASSERT_EQ(reply.status, 200) << d.name;
        ASSERT_TRUE(reply.whole) << d.name;
        if (std::string_view(d.path).starts_with("/api/")) {
            // Every line is a whole object without text; the last one says why.
            std::vector<Value> lines;
            for (std::size_t begin = 0; begin < reply.body.size();) {
                const std::size_t end = reply.body.find('\n', begin);
                ASSERT_NE(end, std::string::npos);
                lines.push_back(parse_json(reply.body.substr(begin, end - begin), "line"));
                begin = end + 1;
            }
            ASSERT_GE(lines.size(), 2U) << "no sign of life";
            for (const Value& line : lines) {
                EXPECT_EQ(at(line, name == "generate" ? "response" : "message.content").as_string(), "");
                EXPECT_EQ(at(line, "done").as_bool(), &line == &lines.back());
            }
            EXPECT_EQ(at(lines.back(), "done_reason").as_string(), "content_filter");
            continue;
        }
        std::vector<Value> values;
        const Names order = order_of(events_of(reply.body, &values));
        if (name == "messages") {
            EXPECT_EQ(order, (Names{"message_start", "ping", "message_delta", "message_stop"})) << reply.body;
            EXPECT_EQ(at(values[values.size() - 2], "delta.stop_reason").as_string(), "refusal");
            EXPECT_EQ(at(values[values.size() - 2], "usage.output_tokens").as_int(), 30);
        } else if (name == "responses") {
            EXPECT_EQ(order, (Names{"response.created", "response.in_progress", "comment", "response.incomplete"}));
            EXPECT_EQ(at(values.back(), "response.incomplete_details.reason").as_string(), "content_filter");
            EXPECT_EQ(at(values.back(), "response.output").size(), 0U);
        } else {
            EXPECT_EQ(order, (Names{"comment", "data"})) << reply.body;
            EXPECT_TRUE(reply.body.ends_with("data: [DONE]\n\n"));
            EXPECT_EQ(at(at(values.back(), "choices").at(0), "finish_reason").as_string(), "content_filter");
            for (const Value& value : values) {
                const Value choice = at(value, "choices").at(0);
                EXPECT_EQ(at(choice, name == "chat" ? "delta.content" : "text").as_string().value_or(""), "");
            }
        }
        EXPECT_EQ(recorded(d.path).outcome, "refused") << d.name;
    }
}

struct Harmless : Dialects {
    Harmless() : Dialects("xyzzy") {}
};

// Held back and passed: everything comes, in the dialect's order, behind the signs of life.
TEST_F(Harmless, AStreamThatPassesComesWholeAfterItWasJudged) {
    using Names = std::vector<std::string>;
    for (const Dialect& d : kDialects) {
        const std::string name = d.name;
        const Reply whole = post(d.path, body_of(d, "Once upon a time", false));
        const Reply reply = post(d.path, body_of(d, "Once upon a time", true));
        ASSERT_TRUE(reply.whole) << d.name;
        EXPECT_EQ(recorded(d.path).outcome, "ok") << d.name;
        const auto path = name == "generate" ? "response" : "message.content";
        if (std::string_view(d.path).starts_with("/api/")) {
            std::string text;
            for (std::size_t begin = 0; begin < reply.body.size();) {
                const std::size_t end = reply.body.find('\n', begin);
                text += *at(parse_json(reply.body.substr(begin, end - begin), "line"), path).as_string();
                begin = end + 1;
            }
            EXPECT_EQ(text, at(whole.json(), path).as_string()) << d.name;
            EXPECT_GT(text.size(), 20U);
            continue;
        }
        const Names order = order_of(events_of(reply.body));
        if (name == "messages") {
            EXPECT_EQ(order, (Names{"message_start", "ping", "content_block_start", "content_block_delta",
                                    "content_block_stop", "message_delta", "message_stop"}));
        } else if (name == "responses") {
            EXPECT_EQ(order,
                      (Names{"response.created", "response.in_progress", "comment", "response.output_item.added",
                             "response.content_part.added", "response.output_text.delta", "response.output_text.done",
                             "response.content_part.done", "response.output_item.done", "response.incomplete"}));
        } else {
            EXPECT_EQ(order, (Names{"comment", "data"}));
        }
    }
}

struct Flagged : Dialects {
    Flagged() : Dialects(kEveryStory, "flag") {}
};

// Who closes a stream before its end has read what came until then, and that is recorded and judged like any answer.
TEST_F(Flagged, AStreamThatIsLeftIsRecordedWithWhatWasTold) {
    {
        Client client(fixture->port());
        const std::string body =
            R"({"model":"teller","prompt":"Once upon a time","max_tokens":450,"n":16,"ignore_eos":true,"stream":true})";
        client.send(
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: "
            "Bearer " +
            key + fmt::format("\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
        while (client.came().size() < 20'000 && client.receive()) {
        }
        ASSERT_GE(client.came().size(), 20'000U);
    }
    const access::AuditRecord entry = recorded("/v1/completions");
    EXPECT_EQ(entry.outcome, "cancelled");
    EXPECT_EQ(entry.model, "teller:latest");
    EXPECT_TRUE(entry.weights.starts_with("sha256:")) << entry.weights;
    EXPECT_GT(entry.prompt_tokens, 0);
    EXPECT_GT(entry.completion_tokens, 0);
    EXPECT_NE(entry.completion_digest, "");
    EXPECT_TRUE(std::ranges::any_of(entry.safeguards, [](const std::string& s) {
        return s.find("censor") != std::string::npos && s.find("flagged") != std::string::npos;
    })) << (entry.safeguards.empty() ? "nothing was judged" : entry.safeguards.back());
}

}  // namespace
}  // namespace freehold::server
