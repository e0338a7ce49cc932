// The end of a generation when what keeps its answer fails: the client hears of it, and nothing waits for ever.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "freehold/server/errors.h"
#include "freehold/store/pull.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;

// Keeps nothing, as on a full disk; `good` says how often it does first.
class Full final : public ResponseStore {
 public:
    void put(const std::string&, const std::string&, StoredResponse) override {
        if (good-- <= 0) throw Error(ErrorKind::io, "The disk is full.", "Free some space.");
    }
    std::optional<StoredResponse> get(const std::string&, const std::string&) override { return std::nullopt; }
    bool erase(const std::string&, const std::string&) override { return false; }
    std::atomic<int> good{0};
};

// Keeps the answer, and says when it is whole.
class Heard final : public Responder {
 public:
    void send(int s, Headers, std::string b) override {
        const std::lock_guard hold(mutex_);
        status_ = s;
        body_ = std::move(b);
        ended_ = true;
        changed_.notify_all();
    }
    void begin(int s, Headers) override {
        const std::lock_guard hold(mutex_);
        status_ = s;
    }
    void write(std::string_view chunk) override {
        const std::lock_guard hold(mutex_);
        body_ += chunk;
    }
    void end() override {
        const std::lock_guard hold(mutex_);
        ended_ = true;
        changed_.notify_all();
    }
    [[nodiscard]] bool begun() const noexcept override {
        const std::lock_guard hold(mutex_);
        return status_ != 0;
    }
    [[nodiscard]] bool gone() const noexcept override { return false; }
    void on_gone(std::function<void()>) override {}
    void note(std::string, Value) override {}

    // Status and body; status 0: it never came to its end.
    std::pair<int, std::string> wait() {
        std::unique_lock hold(mutex_);
        const bool whole = changed_.wait_for(hold, std::chrono::seconds(60), [this] { return ended_; });
        return {whole ? status_ : 0, body_};
    }

 private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    int status_ = 0;
    std::string body_;
    bool ended_ = false;
};

TEST(LastEvent, AResponseThatCannotBeKeptIsAnsweredAndEnds) {
    const auto full = std::make_shared<Full>();
    Fixture f{Fixture::Settings{}};
    PullOptions options;
    options.as = ModelName::parse("stories:260k");
    Store store = f.pool().store();
    static_cast<void>(pull(store, std::string(FREEHOLD_TEST_DATA) + "/stories260K/stories260K.bin", options));
    Client c(f.port());
    const auto made = c.post("/api/create", R"json({"model":"chat","from":"stories:260k","stream":false,
        "template":"{% for m in messages %}{{ m.content }}{% endfor %}"})json");
    ASSERT_EQ(made.status, 200) << made.body;
    f.service().responses = full;
    const Route route = openai_responses_routes(f.service()).front();
    const auto ask = [&](const std::string& fields) {
        auto request = std::make_shared<HttpRequest>();
        request->method = "POST";
        request->body = R"({"model":"chat","input":"Once")" + fields + "}";
        const auto heard = std::make_shared<Heard>();
        try {
            route.handler(request, heard);
        } catch (...) {
            send_current_error(*heard);
        }
        return heard->wait();
    };
    EXPECT_EQ(ask(R"(,"max_output_tokens":3,"store":false)").first, 200);
    const auto [status, body] = ask(R"(,"max_output_tokens":3)");
    EXPECT_EQ(status, 507) << body;
    EXPECT_NE(body.find("could not be kept"), std::string::npos) << body;
    const auto streamed = ask(R"(,"max_output_tokens":3,"stream":true)").second;
    EXPECT_NE(streamed.find("response.failed"), std::string::npos) << streamed;
    EXPECT_EQ(ask(R"(,"background":true)").first, 507);
    full->good = 1;  // the queued one is kept, then no more
    EXPECT_EQ(ask(R"(,"background":true,"max_output_tokens":3)").first, 200);
    EXPECT_TRUE(f.wait_idle());
}

// Whatever listens may throw at any event: the generation still ends, and so does the generator.
TEST(LastEvent, AListenerThatThrowsDoesNotKeepTheServerFromEnding) {
    std::array<std::atomic<int>, 3> events{}, failed{};
    Fixture f;
    for (const std::size_t bad : {0U, 1U, 2U}) {
        GenerationRequest request;
        request.prompts.emplace_back(TextPrompt{"Once upon"});
        request.max_tokens = 4;
        const auto generation = f.generator().start(std::move(request), [&, bad](Event&& event) {
            if (std::holds_alternative<Failed>(event)) failed.at(bad) = 1;
            const int before = events.at(bad)++;
            if (before >= static_cast<int>(bad) || std::holds_alternative<AllDone>(event))
                throw Error(ErrorKind::io, "The disk is full.");
        });
        for (int i = 0; i < 1000 && failed.at(bad) == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        EXPECT_EQ(failed.at(bad).load(), 1) << bad;
        EXPECT_TRUE(f.wait_idle());
    }
}

}  // namespace
}  // namespace freehold::server
