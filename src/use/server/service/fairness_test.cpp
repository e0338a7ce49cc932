// Tenants over real sockets: streams that nobody reads keep nobody else waiting, and who gave way answers the same.
#include <string>
#include <vector>

#include "freehold/server/gate.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;

// Everybody may come in; who somebody is he says himself.
class TenantGate final : public Gate {
 public:
    Principal admit(const HttpRequest& request, const Route&) override {
        Principal who;
        who.role = Role::user;
        who.tenant = std::string(request.header("x-tenant").value_or(""));
        return who;
    }
    void check_listen(const std::string&, bool) const override {}
    [[nodiscard]] const char* kind() const noexcept override { return "open"; }
};

Fixture::Settings settings(int places) {
    Fixture::Settings s = Fixture::stories();
    s.gate = std::make_shared<TenantGate>();
    s.pool.engine.max_sequences = places;
    // Nothing here is cut off: what is tried is what happens while it is not.
    s.http.max_buffered_bytes = 1ULL << 40U;
    s.http.write_deadline = std::chrono::hours(1);
    return s;
}

struct Fair : ::testing::Test {
    explicit Fair(int places = 4) : fixture(settings(places)) {
        // Loaded before anything is counted.
        Client c(fixture.port());
        EXPECT_EQ(c.post("/v1/completions", R"({"prompt":"a","max_tokens":1})").status, 200);
    }
    EngineStats stats() { return fixture.pool().acquire("stories")->engine->stats(); }
    // Answers beyond number: they end when their client goes.
    static std::string endless(int i) {
        ValueList prompts;
        for (int k = 0; k < 8; ++k) prompts.emplace_back("Story " + std::to_string(8 * i + k));
        return to_json(ValueMap{{"prompt", prompts},
                                {"n", 128},
                                {"max_tokens", 400},
                                {"ignore_eos", true},
                                {"temperature", 1},
                                {"stream", true}});
    }
    bool wait_running(int n) {
        for (int i = 0; i < 20000 && stats().running < n; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return stats().running >= n;
    }
    Fixture fixture;
};

TEST_F(Fair, StreamsThatNobodyReadsKeepNoOtherTenantWaiting) {
    std::vector<std::unique_ptr<Client>> unread;
    for (int i = 0; i < 6; ++i) {
        unread.push_back(std::make_unique<Client>(fixture.port(), 4096));
        unread.back()->start_post("/v1/completions", endless(i), "X-Tenant: a\r\n");
    }
    ASSERT_TRUE(wait_running(4));
    Client b(fixture.port());
    for (int i = 0; i < 3; ++i) {
        const std::uint64_t before = stats().steps;
        const auto reply = b.post("/v1/completions", R"({"prompt":"Once upon a time","max_tokens":5,"temperature":0})",
                                  "X-Tenant: b\r\n");
        EXPECT_EQ(reply.status, 200) << reply.body;
        // One of a's requests alone has a hundred thousand steps before it.
        EXPECT_LT(stats().steps - before, 20'000U);
    }
    EXPECT_GE(stats().preemptions, 1U);
    EXPECT_EQ(fixture.generator().stats().finished, 4U);
    for (auto& c : unread) c->close();
    EXPECT_TRUE(fixture.wait_idle());
    EXPECT_EQ(stats().parked, 0);
}

TEST_F(Fair, SharesAreEvenWhileBothWant) {
    Client a(fixture.port()), b(fixture.port());
    a.start_post("/v1/completions", endless(0), "X-Tenant: a\r\n");
    ASSERT_TRUE(wait_running(4));
    b.start_post("/v1/completions", endless(1), "X-Tenant: b\r\n");
    // Two of a's are set aside for two of b's, and no more.
    for (int i = 0; i < 20000 && stats().parked < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(stats().parked, 2);
    a.close();
    b.close();
    EXPECT_TRUE(fixture.wait_idle());
}

struct FairPair : Fair {
    FairPair() : Fair(2) {}
};

TEST_F(FairPair, WhoGaveWayAnswersTheSame) {
    const std::string ask = R"({"prompt":["Once upon a time","The dog"],"n":4,"max_tokens":60,"seed":5,)"
                            R"("ignore_eos":true,"temperature":1,"logprobs":1)";
    for (const char* more : {"}", R"(,"cache_prompt":false})"}) {
        Client c(fixture.port()), other(fixture.port());
        const auto choices = [](const testing::Reply& reply) {
            const Value json = reply.json();
            return to_json(*json.get<ValueMap>()->find("choices"));
        };
        const auto alone = c.post("/v1/completions", ask + more, "X-Tenant: a\r\n");
        ASSERT_EQ(alone.status, 200) << alone.body;
        const std::uint64_t before = stats().preemptions;
        // Again where the answers had come before anybody else asked.
        for (int round = 0; round < 50 && stats().preemptions == before; ++round) {
            c.start_post("/v1/completions", ask + more, "X-Tenant: a\r\n");
            static_cast<void>(wait_running(2));
            for (int i = 0; i < 3; ++i) {
                const auto reply = other.post("/v1/completions", R"({"prompt":"x","max_tokens":3})", "X-Tenant: b\r\n");
                EXPECT_EQ(reply.status, 200);
            }
            const auto disturbed = c.reply();
            ASSERT_EQ(disturbed.status, 200);
            EXPECT_EQ(choices(disturbed), choices(alone));
        }
        EXPECT_GT(stats().preemptions, before);
        EXPECT_TRUE(fixture.wait_idle());
    }
}

}  // namespace
}  // namespace freehold::server
