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
using test::HandClock;
using test::refusal_of;

struct LimitsTest : ::testing::Test {
    Scratch scratch;
    HandClock clock;
    std::unique_ptr<Database> db = open_sqlite(scratch / "state.db");
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
    EXPECT_EQ(limiter.reserve(open, "m", 5).extend(32), 32);
}

TEST_F(LimitsTest, ProcessesCountTogetherAndNothingIsForgottenAtTheEnd) {
    who.limits.tokens_per_day = 100;
    {
        const auto other_db = open_sqlite(scratch / "state.db");
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

TEST_F(LimitsTest, ModelsOfAKey) {
    who.models = {"smollm2"};
    static_cast<void>(limiter.reserve(who, "smollm2:135m", 10));
    EXPECT_EQ(refusal_of([&] { static_cast<void>(limiter.reserve(who, "gemma3:270m", 10)); }).why(), Why::may_not);
    who.roles = {Role::auditor};
    EXPECT_EQ(refusal_of([&] { static_cast<void>(limiter.reserve(who, "smollm2:135m", 10)); }).why(), Why::may_not);
}

}  // namespace
}  // namespace freehold::access
