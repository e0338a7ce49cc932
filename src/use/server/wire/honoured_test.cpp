// What a request asks for is honoured or refused with 400 and the name of the field, in every dialect; and compiling
// forms of answers is shared fairly between tenants.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "freehold/server/compiling.h"
#include "freehold/server/errors.h"
#include "freehold/store/pull.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;

class Honoured : public ::testing::Test {
 protected:
    Honoured() {
        enable_constraints(fixture.service());
        PullOptions options;
        options.as = ModelName::parse("stories:260k");
        Store store = fixture.pool().store();
        static_cast<void>(pull(store, std::string(FREEHOLD_TEST_DATA) + "/stories260K/stories260K.bin", options));
        const auto made = post("/api/create", R"json({"model":"chat","from":"stories:260k","stream":false,
            "template":"{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"})json");
        EXPECT_EQ(made.status, 200) << made.body;
    }
    testing::Reply post(const std::string& path, const std::string& body) {
        Client c(fixture.port());
        return c.post(path, body);
    }
    // A conversation with these fields beside it.
    testing::Reply ask(const std::string& path, const std::string& fields, const std::string& messages = {}) {
        const std::string said = messages.empty() ? R"([{"role":"user","content":"Tell me."}])" : messages;
        const std::string what = path == "/v1/responses"     ? R"("input":"Tell me.","max_output_tokens":24)"
                                 : path == "/v1/completions" ? R"("prompt":"Tell me.","max_tokens":24)"
                                                             : R"("max_tokens":24,"messages":)" + said;
        return post(path, R"({"model":"chat","temperature":0,)" + what + "," + fields + "}");
    }
    void expect_refused(const std::string& path, const std::string& fields, const std::string& param) {
        const auto reply = ask(path, fields);
        EXPECT_EQ(reply.status, 400) << path << " " << fields << " " << reply.body;
        EXPECT_NE(reply.body.find(param), std::string::npos) << path << " " << fields << " " << reply.body;
    }

    Fixture fixture{Fixture::Settings{}};
};

// A model whose template knows nothing of thoughts is not asked for them in silence, as with the peers.
TEST_F(Honoured, ThinkingIsRefusedWhereTheModelDoesNot) {
    const auto says = [&](const std::string& path, const std::string& fields) {
        const auto reply = post(path, R"({"model":"chat",)" + fields + "}");
        return std::pair(reply.status, reply.body);
    };
    const std::string messages = R"("messages":[{"role":"user","content":"x"}])";
    const std::string few = R"("stream":false,"options":{"num_predict":2})";
    for (const char* think : {"true", "\"high\""}) {
        const auto [status, body] = says("/api/chat", messages + R"(,"think":)" + think);
        EXPECT_EQ(status, 400);
        EXPECT_NE(body.find(R"(\"chat:latest\" does not support thinking)"), std::string::npos) << body;
        EXPECT_EQ(says("/api/generate", R"("prompt":"x","think":)" + std::string(think)).first, 400);
    }
    EXPECT_EQ(says("/api/chat", messages + R"(,"think":false,)" + few).first, 200);
    EXPECT_EQ(says("/api/generate", R"("prompt":"x","think":false,)" + few).first, 200);
    expect_refused("/v1/chat/completions", R"("reasoning_effort":"high")", "does not support thinking");
    EXPECT_EQ(ask("/v1/chat/completions", R"("reasoning_effort":"none")").status, 200);
    expect_refused("/v1/responses", R"("reasoning":{"effort":"low"})", "does not support thinking");
    expect_refused("/v1/messages", R"("thinking":{"type":"enabled","budget_tokens":1024})",
                   "does not support thinking");
    EXPECT_EQ(ask("/v1/messages", R"("thinking":{"type":"disabled"})").status, 200);
    // One whose template speaks of it is asked.
    ASSERT_EQ(post("/api/create", R"json({"model":"thinker","from":"stories:260k","stream":false,
        "template":"{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking %}<think>{% endif %}"})json")
                  .status,
              200);
    EXPECT_EQ(post("/api/chat", R"({"model":"thinker","think":true,)" + messages + "," + few + "}").status, 200);
}

TEST_F(Honoured, StoreOfAChatIsRefused) {
    expect_refused("/v1/chat/completions", R"("store":true)", "store");
    EXPECT_EQ(ask("/v1/chat/completions", R"("store":false)").status, 200);
}

// A form and bans that leave nothing are a mistake of the request.
TEST_F(Honoured, BansThatLeaveNothingOfTheFormAreRefused) {
    std::string bans;
    for (int i = 0; i < 512; ++i) bans += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":-100";
    for (const std::string& form : {std::string(R"("guided_choice":["yes"],)"), std::string()}) {
        const auto reply = ask("/v1/chat/completions", form + R"("logit_bias":{)" + bans + "}");
        EXPECT_EQ(reply.status, 400) << reply.body;
        EXPECT_NE(reply.body.find("logit_bias"), std::string::npos) << reply.body;
        EXPECT_EQ(reply.body.find("context_length"), std::string::npos) << reply.body;
    }
}

// The schema of a tool is honoured whole, or the keyword, its place and a way out are named.
TEST_F(Honoured, SchemasOfTools) {
    const auto tool = [](const std::string& schema) {
        return R"("tools":[{"type":"function","function":{"name":"pick","parameters":{"type":"object","required":["x"],)"
               R"("properties":{"x":)" +
               schema + R"(}}}}],"tool_choice":"required")";
    };
    const std::string path = "/v1/chat/completions";
    const auto picked =
        ask(path, tool(R"({"type":"array","uniqueItems":true,"minItems":3,"items":{"enum":["a","b","c"]}})"));
    EXPECT_EQ(picked.status, 200) << picked.body;
    EXPECT_EQ(
        ask(path, tool(R"({"type":"array","uniqueItems":true,"items":{"type":"integer","minimum":1,"maximum":7}})"))
            .status,
        200);
    const std::string open = R"({"type":"array","uniqueItems":true,"items":{"type":"string"}})";
    for (const char* part : {"uniqueItems", "#/properties/x", "Give the items as an enum", "pick"})
        expect_refused(path, tool(open), part);
    for (const char* part : {"regex", "#/properties/x", "give a pattern", "pick"})
        expect_refused(path, tool(R"({"type":"string","format":"regex"})"), part);
}

TEST_F(Honoured, WhatIsNotOfferedIsRefusedByName) {
    for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/responses"}) {
        expect_refused(path, R"("allowed_token_ids":[1,2])", "allowed_token_ids");
        expect_refused(path, R"("bad_words":["x"])", "bad_words");
        expect_refused(path, R"("prompt_logprobs":1)", "prompt_logprobs");
        expect_refused(path, R"("include_stop_str_in_output":true)", "include_stop_str_in_output");
        expect_refused(path, R"("truncate_prompt_tokens":4)", "truncate_prompt_tokens");
        expect_refused(path, R"("chat_template":"{{ 1 }}")", "chat_template");
        expect_refused(path, R"("use_beam_search":true)", "use_beam_search");
        // What asks for nothing is nobody's fault.
        const auto reply = ask(path, R"("allowed_token_ids":null,"bad_words":[],"include_stop_str_in_output":false)");
        EXPECT_EQ(reply.status, 200) << reply.body;
    }
    for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
        expect_refused(path, R"("structured_outputs":{"structural_tag":"x"})", "structured_outputs.structural_tag");
        expect_refused(path, R"("structured_outputs":{"jsn":{}})", "structured_outputs.jsn");
        expect_refused(path, R"("structured_outputs":{"json":{},"whitespace_pattern":"x"})", "whitespace_pattern");
        EXPECT_EQ(ask(path, R"("structured_outputs":{"choice":["a","b"],"disable_fallback":true})").status, 200);
    }
    expect_refused("/v1/responses", R"("response_format":{"type":"json_object"})", "response_format");
    expect_refused("/v1/responses", R"("guided_regex":"a+")", "guided_regex");
    expect_refused("/v1/chat/completions", R"("echo":true)", "echo");
}

TEST_F(Honoured, AnthropicsFormOfTheAnswer) {
    const std::string schema = R"({"type":"json_schema","schema":{"enum":["sea","land"]}})";
    for (const std::string& fields :
         {R"("output_config":{"format":)" + schema + R"(,"effort":"low"})", R"("output_format":)" + schema}) {
        const auto reply = ask("/v1/messages", fields);
        ASSERT_EQ(reply.status, 200) << reply.body;
        EXPECT_TRUE(reply.body.find(R"(\"sea\")") != std::string::npos ||
                    reply.body.find(R"(\"land\")") != std::string::npos)
            << reply.body;
    }
    expect_refused("/v1/messages", R"("output_config":{"format":{"type":"text"}})", "output_config.format");
    expect_refused("/v1/messages", R"("output_config":{"task_budget":{}})", "output_config.task_budget");
    expect_refused("/v1/messages", R"("output_config":{"format":{"type":"json_schema","schema":{"type":"king"}}})",
                   "type must be");
}

TEST_F(Honoured, TheFinalMessageGoesOn) {
    const std::string messages = R"([{"role":"user","content":"Tell."},{"role":"assistant","content":"Once upon a"}])";
    const auto reply =
        ask("/v1/chat/completions", R"("continue_final_message":true,"add_generation_prompt":false)", messages);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_NE(reply.body.find("time"), std::string::npos) << reply.body;
    expect_refused("/v1/chat/completions", R"("continue_final_message":true)", "continue_final_message");
    EXPECT_EQ(
        ask("/v1/chat/completions", R"("continue_final_message":true,"add_generation_prompt":true)", messages).status,
        400);
}

// Slow schemas of one tenant: another's is compiled at once, and the tenant is told that it is its own that are in the
// way.
TEST_F(Honoured, CompilingIsSharedBetweenTenants) {
    const auto compile = [&](const std::string& tenant, const std::string& schema) {
        Service::ConstraintWish w;
        w.kind = Service::ConstraintWish::Kind::json_schema;
        w.schema = parse_json(schema, "schema");
        w.param = "response_format";
        const CompilingFor scope(tenant);
        return fixture.service().constraints(w);
    };
    const auto slow = [](int number) {
        std::string all;
        for (int j = 0; j < 300; ++j)
            all += (j > 0 ? "," : "") + std::string(R"({"type":"string","pattern":"^a{)") + std::to_string(j) + ",}b" +
                   std::to_string(number) + R"(?"})";
        return R"({"oneOf":[)" + all + "]}";
    };
    std::atomic<bool> stop{false};
    std::atomic<int> refused{0}, wrong{0}, number{0};
    std::vector<std::thread> red;
    for (int i = 0; i < 4; ++i) {
        red.emplace_back([&] {
            while (!stop) {
                try {
                    static_cast<void>(compile("red", slow(number++)));
                } catch (const RequestError& error) {
                    if (error.status() == 429) ++refused;
                    if (error.status() != 429 && error.status() != 400) ++wrong;
                }
            }
        });
    }
    for (int i = 0; i < 400 && refused == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for (int i = 0; i < 10; ++i)
        EXPECT_NO_THROW(
            compile("blue", R"({"type":"object","properties":{"q)" + std::to_string(i) + R"(":{"type":"integer"}}})"));
    stop = true;
    for (std::thread& thread : red) thread.join();
    EXPECT_GT(refused.load(), 0);
    EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace freehold::server
