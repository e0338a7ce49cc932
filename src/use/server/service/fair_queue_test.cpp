// Who gets the next place, who is asked to give one back, and that shares come out even whatever happens.
#include "fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "freehold/base/random.h"

namespace freehold::server {
namespace {

using Entered = FairQueue::Entered;

// Keeps what was told, and gives way when it is asked to.
struct Desk {
    explicit Desk(std::size_t places, std::size_t most = 100, std::size_t of_tenant = 50)
        : queue(places, most, of_tenant) {}

    Entered enter(const std::string& tenant, std::uint64_t id, std::size_t places = 1) {
        tenants[id] = tenant;
        return queue.enter(
            tenant, id, places, [this, id] { ++held[id]; }, [this, id] { asked.push_back(id); });
    }
    // Those who were asked do it, until nobody is.
    int settle() {
        int moved = 0;
        while (!asked.empty()) {
            const std::uint64_t id = asked.back();
            asked.pop_back();
            // The place is gone before the next one has it.
            --held[id];
            if (queue.give_way(id)) {
                ++moved;
            } else {
                ++held[id];
            }
        }
        return moved;
    }
    std::map<std::string, int> shares() {
        std::map<std::string, int> sum;
        for (const auto& [id, n] : held) sum[tenants[id]] += n;
        return sum;
    }
    void end(std::uint64_t id) {
        held.erase(id);
        queue.leave_all(id);
    }

    FairQueue queue;
    std::map<std::uint64_t, int> held;
    std::map<std::uint64_t, std::string> tenants;
    std::vector<std::uint64_t> asked;
};

TEST(FairQueue, OneTenantMayHoldEverythingWhileNobodyElseWaits) {
    Desk d(32);
    for (std::uint64_t id = 1; id <= 40; ++id) EXPECT_EQ(d.enter("a", id), Entered::taken);
    EXPECT_EQ(d.shares()["a"], 32);
    EXPECT_EQ(d.queue.waiting(), 8U);
    EXPECT_TRUE(d.asked.empty());
}

TEST(FairQueue, WhoComesLateIsServedAtOnce) {
    Desk d(32);
    for (std::uint64_t id = 1; id <= 40; ++id) d.enter("a", id);
    d.enter("b", 41);
    EXPECT_EQ(d.asked, std::vector<std::uint64_t>{32}) << "the youngest that holds one";
    EXPECT_EQ(d.settle(), 1);
    EXPECT_EQ(d.held[41], 1);
    EXPECT_EQ(d.held[32], 0);
    // And gets its place back before those of its own tenant who came later.
    d.end(41);
    EXPECT_EQ(d.held[32], 1);
    EXPECT_EQ(d.held[33], 0);
}

TEST(FairQueue, SharesBecomeEvenAndStaySo) {
    Desk d(32);
    for (std::uint64_t id = 1; id <= 40; ++id) d.enter("a", id);
    for (std::uint64_t id = 41; id <= 80; ++id) d.enter("b", id);
    d.settle();
    EXPECT_EQ(d.shares(), (std::map<std::string, int>{{"a", 16}, {"b", 16}}));
    // A third, with one request of many answers.
    d.enter("c", 81, 100);
    d.settle();
    const auto shares = d.shares();
    for (const char* tenant : {"a", "b", "c"}) EXPECT_GE(shares.at(tenant), 10) << tenant;
    EXPECT_TRUE(d.asked.empty());
    // Places that come free go to who holds the fewest, not in turns.
    for (std::uint64_t id = 1; id <= 3; ++id) d.end(id);
    EXPECT_GE(d.shares()["a"], 10);
    // When the others have gone, one has everything again.
    for (std::uint64_t id = 1; id <= 80; ++id) d.end(id);
    EXPECT_EQ(d.held[81], 32);
}

TEST(FairQueue, MoreTenantsThanPlacesTakeTurns) {
    Desk d(2);
    std::vector<std::string> order;
    for (std::uint64_t id = 0; id < 6; ++id) d.enter("t" + std::to_string(id % 3), id);
    EXPECT_TRUE(d.asked.empty()) << "moving one would make nobody more equal";
    for (int i = 0; i < 6; ++i) {
        const auto next = std::ranges::find_if(d.held, [](const auto& h) { return h.second > 0; });
        ASSERT_NE(next, d.held.end());
        order.push_back(d.tenants[next->first]);
        d.end(next->first);
    }
    std::ranges::sort(order);
    EXPECT_EQ(order, (std::vector<std::string>{"t0", "t0", "t1", "t1", "t2", "t2"}));
}

TEST(FairQueue, WhoWasAskedForSomebodyThatHasGoneKeepsItsPlace) {
    Desk d(4);
    for (std::uint64_t id = 1; id <= 4; ++id) d.enter("a", id);
    d.enter("b", 5);
    ASSERT_EQ(d.asked.size(), 1U);
    d.end(5);
    EXPECT_EQ(d.settle(), 0);
    EXPECT_EQ(d.shares()["a"], 4);
    // What ends by itself meanwhile is as good as given.
    d.enter("b", 6);
    ASSERT_EQ(d.asked.size(), 1U);
    d.end(d.asked.front());
    EXPECT_EQ(d.held[6], 1);
    EXPECT_EQ(d.settle(), 0);
}

TEST(FairQueue, WaitingIsBounded) {
    Desk d(1, 3, 2);
    EXPECT_EQ(d.enter("a", 1), Entered::taken);
    EXPECT_EQ(d.enter("a", 2), Entered::taken);
    EXPECT_EQ(d.enter("a", 3), Entered::taken);
    EXPECT_EQ(d.enter("a", 4), Entered::tenant_full);
    EXPECT_EQ(d.enter("b", 5), Entered::taken);
    EXPECT_EQ(d.enter("b", 6), Entered::full);
    d.end(6);  // never came in
    EXPECT_EQ(d.queue.waiting(), 3U);
    d.queue.forgo(3, 1);
    EXPECT_EQ(d.enter("b", 7), Entered::taken);
}

TEST(FairQueue, WhateverHappensNoPlaceIsLostAndSharesComeOutEven) {
    Random random(5, RandomUse::test);
    for (int round = 0; round < 200; ++round) {
        const std::size_t places = 1 + random.next() % 9;
        Desk d(places, 1000, 1000);
        std::map<std::uint64_t, std::size_t> wants;  // answers that are not written yet
        for (std::uint64_t id = 1; id < 60; ++id) {
            if (random.next() % 2 == 0) {
                wants[id] = 1 + random.next() % 5;
                d.enter("t" + std::to_string(random.next() % 4), id, wants[id]);
            } else if (!wants.empty()) {
                auto one = std::next(wants.begin(), static_cast<std::ptrdiff_t>(random.next() % wants.size()));
                const std::uint64_t who = one->first;
                if (random.next() % 4 == 0) {
                    d.end(who);
                    wants.erase(one);
                } else if (d.held[who] > 0) {
                    --d.held[who];
                    if (--one->second == 0) {
                        wants.erase(one);
                        d.end(who);
                    } else {
                        d.queue.leave(who);
                    }
                }
            }
            if (random.next() % 3 == 0) d.settle();
        }
        d.settle();
        std::size_t all = 0, wanted = 0;
        std::map<std::string, std::size_t> waiting;
        for (const auto& [id, n] : wants) {
            const auto have = static_cast<std::size_t>(d.held[id]);
            ASSERT_LE(have, n);
            all += have;
            wanted += n;
            if (have < n) waiting[d.tenants[id]] += n - have;
        }
        EXPECT_EQ(all, std::min(places, wanted)) << round;
        const auto shares = d.shares();
        for (const auto& [poor, n] : waiting) {
            for (const auto& [rich, has] : shares) EXPECT_LE(has, shares.at(poor) + 1) << round << poor << rich;
        }
    }
}

}  // namespace
}  // namespace freehold::server
