// The end of a server whose time is over before its answers are: each client hears of it in its dialect.
#include <gtest/gtest.h>

#include "freehold/server/errors.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;

void send(Client& client, const std::string& path, const std::string& body) {
    client.send("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
}

TEST(Drain, StreamsEndWithAnErrorAndTheOthersGet503) {
    Fixture::Settings settings = Fixture::stories();
    settings.pool.engine.max_sequences = 1;
    Fixture f(settings);
    // Many long answers, one after the other: none of these is done soon.
    const std::string long_one = R"("model":"stories","prompt":"Once upon a time","temperature":0)";
    Client stream(f.port()), whole(f.port()), ollama(f.port()), lines(f.port());
    send(stream, "/v1/completions", "{" + long_one + R"(,"max_tokens":300,"n":100,"ignore_eos":true,"stream":true})");
    ASSERT_TRUE(stream.wait_for("data: "));
    send(whole, "/v1/completions", "{" + long_one + R"(,"max_tokens":300,"n":100,"ignore_eos":true})");
    send(ollama, "/api/generate",
         R"({"model":"stories","prompt":"Once","raw":true,"stream":false,"options":{"num_predict":300}})");
    for (int i = 0; i < 1000 && f.generator().stats().started < 3; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_FALSE(f.server().drain(std::chrono::milliseconds(20)));
    f.generator().end_all(std::make_exception_ptr(stopping_error()));
    const auto streamed = stream.reply();
    EXPECT_TRUE(streamed.whole) << "it just stops";
    EXPECT_EQ(streamed.status, 200);
    const std::size_t at = streamed.body.find("server_stopping");
    ASSERT_NE(at, std::string::npos) << streamed.body.substr(streamed.body.size() - 300);
    EXPECT_GT(at + 400, streamed.body.size()) << "it is the last that is said";
    for (Client* client : {&whole, &ollama}) {
        auto reply = client->reply();
        EXPECT_EQ(reply.status, 503) << reply.body;
        EXPECT_EQ(reply.headers["retry-after"], "5") << reply.body;
        const Value json = reply.json();
        const Value* error = json.get<ValueMap>()->find("error");
        ASSERT_NE(error, nullptr) << reply.body;
        // One dialect has an object there, the other a text.
        EXPECT_EQ(error->as_string().has_value(), client == &ollama) << reply.body;
    }
    EXPECT_TRUE(f.server().drain(std::chrono::seconds(20)));
    EXPECT_TRUE(f.wait_idle());
    // What comes after that is not begun.
    GenerationRequest late;
    late.prompts.emplace_back(TextPrompt{"Once"});
    try {
        static_cast<void>(f.generator().start(std::move(late), [](Event&&) {}));
        ADD_FAILURE() << "it was begun";
    } catch (const RequestError& refused) {
        EXPECT_EQ(refused.status(), 503);
    }
}

// A stream of Ollama's dialect has its error as a line.
TEST(Drain, LinesEndWithALine) {
    Fixture f;
    Client lines(f.port());
    std::string body = R"({"model":"stories","prompt":"Once","raw":true,"options":{"num_predict":400}})";
    send(lines, "/api/generate", body);
    ASSERT_TRUE(lines.wait_for("\"response\""));
    f.generator().end_all(std::make_exception_ptr(stopping_error()));
    const auto reply = lines.reply();
    EXPECT_TRUE(reply.whole);
    const std::size_t last = reply.body.rfind('\n', reply.body.size() - 2) + 1;
    const std::string line = reply.body.substr(last);
    // It may have been done before.
    EXPECT_TRUE(line.find("\"error\"") != std::string::npos || line.find("\"done\":true") != std::string::npos) << line;
}

}  // namespace
}  // namespace freehold::server
