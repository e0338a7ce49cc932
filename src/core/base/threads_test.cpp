// The pool: every task once, whatever the number of threads; sleeping and waking; the environment of its workers.
#include "freehold/base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <limits>
#include <thread>
#include <vector>

#include "freehold/base/error.h"

namespace freehold {
namespace {

class Pool : public testing::TestWithParam<int> {};

TEST_P(Pool, RunsEveryTaskOnceAndSeesItsEffects) {
    ThreadPool pool(GetParam());
    ASSERT_EQ(pool.size(), GetParam());
    for (const std::size_t n : {0U, 1U, 2U, 3U, 7U, 64U, 1000U}) {
        std::vector<int> counts(n, 0);  // plain ints: the end of run() must make them visible
        pool.run(n, [&](std::size_t task, int worker) {
            ASSERT_GE(worker, 0);
            ASSERT_LT(worker, pool.size());
            ++counts[task];
        });
        EXPECT_EQ(counts, std::vector<int>(n, 1));
    }
}

TEST_P(Pool, ManyShortLoopsDoNotMix) {
    ThreadPool pool(GetParam());
    std::vector<std::uint64_t> cells(8, 0);
    for (std::uint64_t loop = 1; loop <= 3000; ++loop) {
        pool.run(cells.size(), [&](std::size_t task, int) { cells[task] += loop * (task + 1); });
    }
    for (std::size_t i = 0; i < cells.size(); ++i) EXPECT_EQ(cells[i], 3000ULL * 3001 / 2 * (i + 1));
}

TEST_P(Pool, WakesAfterSleep) {
    ThreadPool pool(GetParam());
    std::atomic<int> sum{0};
    for (int round = 0; round < 5; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));  // far beyond the spinning time
        pool.run(16, [&](std::size_t, int) { sum.fetch_add(1); });
    }
    EXPECT_EQ(sum.load(), 80);
}

TEST_P(Pool, WorkersKeepDenormals) {
    ThreadPool pool(GetParam());
    std::atomic<int> lost{0};
    pool.run(64, [&](std::size_t, int) {
        volatile float tiny = std::numeric_limits<float>::min();
        volatile float half = tiny * 0.5F;
        if (!(half > 0.0F)) lost.fetch_add(1);
        std::this_thread::sleep_for(std::chrono::microseconds(50));  // so that every worker takes part
    });
    EXPECT_EQ(lost.load(), 0);
}

INSTANTIATE_TEST_SUITE_P(Threads, Pool, testing::Values(1, 2, 3, 8));

TEST(ThreadPool, TwoCallersTakeTurns) {
    ThreadPool pool(3);
    std::atomic<int> inside{0}, overlaps{0}, total{0};
    const auto caller = [&] {
        for (int i = 0; i < 200; ++i) {
            pool.run(4, [&](std::size_t task, int) {
                if (task == 0 && inside.fetch_add(1) != 0) overlaps.fetch_add(1);
                total.fetch_add(1);
                if (task == 0) inside.fetch_sub(1);
            });
        }
    };
    std::thread other(caller);
    caller();
    other.join();
    EXPECT_EQ(overlaps.load(), 0);
    EXPECT_EQ(total.load(), 1600);
}

TEST(ThreadPool, AllWorkersTakePartInLongTasks) {
    ThreadPool pool(3);
    std::atomic<unsigned> seen{0};
    pool.run(12, [&](std::size_t, int worker) {
        seen.fetch_or(1U << worker);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
    EXPECT_EQ(seen.load(), 7U);
}

TEST(ThreadPool, RefusesAbsurdSizes) {
    EXPECT_THROW(ThreadPool(1 << 20), Error);
    EXPECT_GE(available_threads(), 1);
    EXPECT_EQ(ThreadPool(0).size(), available_threads());
}

TEST(ThreadPool, SetsTheFloatEnvironmentBack) {
    std::fesetround(FE_UPWARD);
    set_float_environment();
    volatile float third = 1.0F;
    third = third / 3.0F;
    EXPECT_EQ(third, 0x1.555556p-2F);  // nearest even
}

}  // namespace
}  // namespace freehold
