// Rates and quotas on a clock moved by hand: who is let in, who waits how long, what two processes count together.
#include "freehold/access/limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "access_test_support.h"

namespace freehold::access {
namespace {

using freehold::testing::error_of;
using freehold::testing::Scratch;
using freehold::testing::StateDatabase;
using test::HandClock;
using test::refusal_of;

struct LimitsTest : ::testing::Test {
    Scratch scratch;
    HandClock clock;
    StateDatabase state{scratch};
    std::unique_ptr<Database> db = state.open();
    Limiter limiter{*db, clock.clock()};
    Principal who = [] {
        Principal p;
        p.how = Principal::How::key;
        p.roles = {Role::user};
        p.key_id = "key_a";
        p.name = "a";
        return p;
    }();
};

TEST_F(LimitsTest, RequestsOfAMinute) {
    who.limits.requests_per_minute = 3;
    for (int i = 0; i < 3; ++i) limiter.admit(who);
    const Refusal refused = refusal_of([&] { limiter.admit(who); });
    EXPECT_EQ(refused.why(), Why::too_much);
    EXPECT_EQ(refused.kind(), ErrorKind::busy);
    EXPECT_EQ(refused.retry_after(), 20);
    clock.now += 20'000;
    limiter.admit(who);
    EXPECT_THROW(limiter.admit(who), Refusal);
    clock.now += 3'600'000;  // the bucket holds a minute's worth, no more
    for (int i = 0; i < 3; ++i) limiter.admit(who);
    EXPECT_THROW(limiter.admit(who), Refusal);
    Principal other = who;
    other.key_id = "key_b";
    limiter.admit(other);
    clock.now -= 10'000'000;  // a clock set back gives nothing
    EXPECT_THROW(limiter.admit(who), Refusal);
}

TEST_F(LimitsTest, TokensOfAMinuteAreReservedThenSettled) {
    who.limits.tokens_per_minute = 600;
    auto first = limiter.reserve(who, "m", 400);
    EXPECT_EQ(refusal_of([&] { static_cast<void>(limiter.reserve(who, "m", 400)); }).retry_after(), 20);
    first.settle(50, 50);  // less than was set aside: 500 are left
    auto second = limiter.reserve(who, "m", 500);
    second.settle(500, 700);  // more than was set aside: a debt of 700
    EXPECT_EQ(refusal_of([&] { limiter.admit(who); }).retry_after(), 71);
    clock.now += 71'000;
    limiter.admit(who);
    { const auto dropped = limiter.reserve(who, "m", 5); }
    EXPECT_EQ(error_of([&] { static_cast<void>(limiter.reserve(who, "m", 601)); }).kind(), ErrorKind::limit);
}

TEST_F(LimitsTest, QuotasFollowTheCalendar) {
    who.limits.tokens_per_day = 100;
    who.limits.tokens_per_month = 150;
    clock.now += 86'400'000 - 5'000;  // five seconds before midnight
    limiter.reserve(who, "m", 100).settle(60, 40);
    EXPECT_EQ(refusal_of([&] { limiter.admit(who); }).retry_after(), 5);
    limiter.flush();
    EXPECT_EQ(refusal_of([&] { limiter.admit(who); }).retry_after(), 5);
    clock.now += 5'000;
    limiter.flush();
    limiter.admit(who);
    limiter.reserve(who, "m", 10).settle(50, 0);
    const Refusal month = refusal_of([&] { limiter.admit(who); });
    EXPECT_NE(month.message().find("month"), std::string::npos);
    EXPECT_EQ(month.retry_after(), 30 * 86'400);
    clock.now += 30LL * 86'400'000;
    limiter.flush();
    limiter.admit(who);
    EXPECT_EQ(error_of([&] { static_cast<void>(limiter.reserve(who, "m", 101)); }).kind(), ErrorKind::limit);
}

TEST_F(LimitsTest, RunningRequestsCountAgainstTheQuota) {
    who.limits.tokens_per_day = 100;
    auto first = limiter.reserve(who, "m", 60);
    EXPECT_THROW(static_cast<void>(limiter.reserve(who, "m", 60)), Refusal);
    auto moved = std::move(first);
    EXPECT_THROW(static_cast<void>(limiter.reserve(who, "m", 60)), Refusal);
    moved = {};
    { Limiter::Reservation gone = std::move(moved); }
    limiter.reserve(who, "m", 60).settle(0, 0);
}

TEST_F(LimitsTest, ManyAtOnceCannotPassAQuota) {
    who.limits.tokens_per_day = 1000;
    std::atomic<std::int64_t> let_in = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                try {
                    auto held = limiter.reserve(who, "m", 30);
                    held.settle(20, 10);
                    let_in += 30;
                } catch (const Refusal&) {
                    continue;
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(let_in, 990);
    limiter.flush();
    EXPECT_EQ(limiter.use("2026-01-01", "2026-01-01").at(0).prompt_tokens, 660);
}

TEST_F(LimitsTest, AnAnswerWithoutALengthGrowsUntilTheQuotaEnds) {
    who.limits.tokens_per_day = 100;
    who.limits.tokens_per_minute = 50;
    auto other = limiter.reserve(who, "m", 0), held = limiter.reserve(who, "m", 40);
    EXPECT_EQ(held.extend(32), 32);  // beyond the rate: a debt
    EXPECT_EQ(other.extend(20), 20);
    EXPECT_EQ(held.extend(32), 8);
    EXPECT_EQ(held.extend(32), 0);
    other = {};
    EXPECT_EQ(held.extend(32), 20);
    held.settle(40, 5);
    EXPECT_EQ(held.extend(1), 0);  // it has ended
    clock.now += 300'000;
    limiter.flush();
    EXPECT_EQ(limiter.reserve(who, "m", 50).extend(32), 5);
    Principal open;
    open.roles = {Role::user};
    EXPECT_EQ(limiter.reserve(open, "m", 5).extend(32), 32);
}

TEST_F(LimitsTest, ProcessesCountTogetherAndNothingIsForgottenAtTheEnd) {
    who.limits.tokens_per_day = 100;
    {
        const auto other_db = state.open();
        Limiter other(*other_db, clock.clock());
        other.charge(who, "m", 80, 30);
    }
    limiter.admit(who);  // not read yet
    limiter.flush();
    EXPECT_THROW(limiter.admit(who), Refusal);
    Limiter restarted(*db, clock.clock());
    EXPECT_THROW(restarted.admit(who), Refusal);
    limiter.charge(who, "n", 1, 2);
    const auto use = limiter.use("2026-01-01", "2026-01-31");
    ASSERT_EQ(use.size(), 2U);
    EXPECT_EQ(use[0].prompt_tokens, 80);
    EXPECT_EQ(use[1].model, "n");
    EXPECT_EQ(use[1].requests, 1);
    EXPECT_TRUE(limiter.use("2026-01-01", "2026-01-31", "other").empty());
    EXPECT_EQ(limiter.purge("2027-01-01"), 0);  // the present month stays
    clock.now += 40LL * 86'400'000;
    EXPECT_EQ(limiter.purge("2026-01-02"), 2);
}

TEST_F(LimitsTest, RatesAreSharedAlsoWithAProcessThatComesLater) {
    who.limits.requests_per_minute = 6;
    who.limits.tokens_per_minute = 600;
    const auto other_db = state.open();
    Limiter other(*other_db, clock.clock());
    for (int i = 0; i < 4; ++i) limiter.admit(who);
    limiter.charge(who, "m", 300, 100);
    other.admit(who);  // what the first has taken is not known here yet
    limiter.flush();
    other.flush();
    limiter.flush();
    other.admit(who);
    EXPECT_EQ(refusal_of([&] { other.admit(who); }).retry_after(), 10);
    EXPECT_EQ(refusal_of([&] { static_cast<void>(other.reserve(who, "m", 300)); }).retry_after(), 10);
    auto running = other.reserve(who, "m", 200);
    other.flush();
    EXPECT_THROW(static_cast<void>(other.reserve(who, "m", 1)), Refusal);  // what is set aside stays so
    running.settle(10, 10);
    other.flush();
    limiter.flush();
    EXPECT_THROW(limiter.admit(who), Refusal);
    const auto late_db = state.open();
    Limiter late(*late_db, clock.clock());
    EXPECT_EQ(refusal_of([&] { late.admit(who); }).retry_after(), 10);
    clock.now += 10'000;
    late.admit(who);
    late.flush();
    for (Limiter* one : {&limiter, &other}) {
        one->flush();
        EXPECT_THROW(one->admit(who), Refusal);
    }
}

// A database whose transactions fail when told to: before they happened, or after.
class Breaking final : public Database {
 public:
    explicit Breaking(Database& inner) : inner_(inner) {}
    using Database::query;
    using Database::run;
    std::vector<Row> query(std::string_view sql, std::span<const Cell> values) override {
        return inner_.query(sql, values);
    }
    std::int64_t run(std::string_view sql, std::span<const Cell> values) override { return inner_.run(sql, values); }
    void transaction(const std::function<void(Statements&)>& work) override {
        if (before) throw DatabaseAway("away before");
        inner_.transaction(work);
        if (after) throw DatabaseAway("away after");
    }
    void backup_to(const std::filesystem::path& file) override { inner_.backup_to(file); }
    std::vector<std::string> check() override { return inner_.check(); }
    void scrub() override { inner_.scrub(); }
    [[nodiscard]] const std::string& name() const noexcept override { return inner_.name(); }
    bool before = false, after = false;

 private:
    Database& inner_;
};

TEST_F(LimitsTest, WhatIsWrittenIsCountedOnceWhateverBreaks) {
    Breaking broken(*db);
    who.limits.tokens_per_minute = 1000;
    {
        Limiter counting(broken, clock.clock());
        counting.charge(who, "m", 10, 0);
        broken.after = true;  // it is in the database, and nobody knows
        EXPECT_THROW(counting.flush(), DatabaseAway);
        counting.charge(who, "m", 5, 0);
        EXPECT_THROW(counting.flush(), DatabaseAway);
        broken.after = false;
        broken.before = true;
        counting.charge(who, "n", 7, 0);
        EXPECT_THROW(counting.flush(), DatabaseAway);
        broken.before = false;
        counting.charge(who, "m", 1, 0);
        counting.flush();
        EXPECT_EQ(refusal_of([&] { static_cast<void>(counting.reserve(who, "m", 978)); }).retry_after(), 1);
        static_cast<void>(counting.reserve(who, "m", 977));
    }
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> counted;
    for (const Use& use : limiter.use("2026-01-01", "2026-01-31"))
        counted[use.model] = {use.requests, use.prompt_tokens};
    EXPECT_EQ(counted["m"], (std::pair<std::int64_t, std::int64_t>{3, 16}));
    EXPECT_EQ(counted["n"], (std::pair<std::int64_t, std::int64_t>{1, 7}));
}

TEST_F(LimitsTest, ModelsOfAKey) {
    who.models = {"smollm2"};
    static_cast<void>(limiter.reserve(who, "smollm2:135m", 10));
    EXPECT_EQ(refusal_of([&] { static_cast<void>(limiter.reserve(who, "gemma3:270m", 10)); }).why(), Why::may_not);
    who.roles = {Role::auditor};
    EXPECT_EQ(refusal_of([&] { static_cast<void>(limiter.reserve(who, "smollm2:135m", 10)); }).why(), Why::may_not);
}

}  // namespace
}  // namespace freehold::access
