// Quotas where they are kept: generations set tokens aside before they begin, many at once never pass a quota, and an
// answer whose length nobody said ends where the quota does.
#include <future>
#include <mutex>

#include "freehold/access/limits.h"
#include "freehold/server/errors.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Fixture;

struct LimitedBooks final : Books {
    LimitedBooks(access::Limiter& l, access::Principal w) : limiter(l), who(std::move(w)) {}
    struct Hold final : TokenHold {
        explicit Hold(access::Limiter::Reservation r) : reserved(std::move(r)) {}
        [[nodiscard]] std::int64_t extend(std::int64_t tokens) override { return reserved.extend(tokens); }
        void settle(std::int64_t p, std::int64_t c) override { reserved.settle(p, c); }
        access::Limiter::Reservation reserved;
    };
    [[nodiscard]] std::unique_ptr<TokenHold> reserve(const std::string& model, std::int64_t tokens) override {
        return std::make_unique<Hold>(limiter.reserve(who, model, tokens));
    }
    void asked(std::string_view text) override { prompt = text; }
    void answered(std::string_view text) override { answer = text; }
    void judged(const std::string&, bool) override {}
    access::Limiter& limiter;
    access::Principal who;
    std::string prompt, answer;
};

struct Ended {
    Usage usage;
    std::string text;
    FinishReason finish = FinishReason::error;
    bool failed = false;
};

struct QuotaTest : ::testing::Test {
    Fixture fixture;
    freehold::testing::Scratch scratch;
    std::unique_ptr<Database> db = open_sqlite(scratch / "state.db");
    access::Limiter limiter{*db};
    access::Principal who;

    void SetUp() override {
        who.how = access::Principal::How::key;
        who.roles = {access::Role::user};
        who.key_id = "key_a";
        who.name = "a";
    }
    std::future<Ended> ask(const std::shared_ptr<Books>& books, std::optional<int> max_tokens, int n = 1) {
        GenerationRequest r;
        r.model = "stories";
        r.prompts = {TextPrompt{"Once upon a time"}};
        r.max_tokens = max_tokens;
        r.n = n;
        r.ignore_eos = true;
        r.sampling.temperature = 0.0F;
        r.books = books;
        auto promise = std::make_shared<std::promise<Ended>>();
        auto ended = std::make_shared<Ended>();
        auto future = promise->get_future();
        fixture.generator().start(std::move(r), [promise, ended](Event&& event) {
            if (auto* delta = std::get_if<Delta>(&event)) ended->text += delta->text;
            if (auto* done = std::get_if<ChoiceDone>(&event)) ended->finish = done->finish;
            if (auto* all = std::get_if<AllDone>(&event)) {
                ended->usage = all->usage;
                promise->set_value(*ended);
            }
            if (std::holds_alternative<Failed>(event)) {
                ended->failed = true;
                promise->set_value(*ended);
            }
        });
        return future;
    }
    std::int64_t used() {
        std::int64_t sum = 0;
        for (const access::Use& use : limiter.use("2000-01-01", "2999-01-01"))
            sum += use.prompt_tokens + use.completion_tokens;
        return sum;
    }
    std::shared_ptr<LimitedBooks> books() { return std::make_shared<LimitedBooks>(limiter, who); }
};

TEST_F(QuotaTest, ManyAtOnceDoNotPassIt) {
    who.limits.tokens_per_day = 150;
    std::vector<std::future<Ended>> all;
    for (int i = 0; i < 12; ++i) all.push_back(ask(books(), 30));
    int answered = 0, refused = 0;
    for (auto& one : all) {
        const Ended ended = one.get();
        ++(ended.failed ? refused : answered);
        EXPECT_EQ(ended.usage.completion_tokens, ended.failed ? 0U : 30U);
    }
    EXPECT_GE(answered, 1);
    EXPECT_GE(refused, 1);
    EXPECT_LE(used(), 150);
    EXPECT_GE(used(), 30);
}

TEST_F(QuotaTest, AnAnswerWithoutALengthEndsWithTheQuota) {
    const Ended free = ask(nullptr, 90).get();
    const auto prompt = static_cast<std::int64_t>(free.usage.prompt_tokens);
    who.limits.tokens_per_day = prompt + 70;
    const auto kept = books();
    const Ended ended = ask(kept, std::nullopt).get();
    EXPECT_FALSE(ended.failed);
    EXPECT_EQ(ended.usage.completion_tokens, 70U);
    EXPECT_EQ(ended.finish, FinishReason::length);
    EXPECT_EQ(used(), prompt + 70);
    EXPECT_TRUE(free.text.starts_with(ended.text)) << ended.text;
    EXPECT_EQ(kept->prompt, "Once upon a time");
    EXPECT_EQ(kept->answer, ended.text);
    EXPECT_TRUE(ask(books(), std::nullopt).get().failed);
    EXPECT_EQ(used(), prompt + 70);
}

TEST_F(QuotaTest, WhatWasNotWrittenIsGivenBack) {
    const Ended free = ask(nullptr, 20).get();
    const auto prompt = static_cast<std::int64_t>(free.usage.prompt_tokens);
    who.limits.tokens_per_day = prompt + 60;
    const auto kept = books();
    EXPECT_EQ(ask(kept, 20, 3).get().usage.completion_tokens, 60U);
    EXPECT_TRUE(kept->answer.starts_with("[")) << kept->answer;  // three answers
    EXPECT_EQ(used(), prompt + 60);
    who.key_id = "key_b";
    EXPECT_TRUE(ask(books(), 61).get().failed);  // could never go through
    EXPECT_FALSE(ask(books(), 60).get().failed);
}

}  // namespace
}  // namespace freehold::server
