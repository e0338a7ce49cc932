// Philox against the known answers of its authors; normal numbers against the C library, which they must not call.
#include "freehold/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace freehold {
namespace {

using Words = std::array<std::uint32_t, 4>;

TEST(Philox, KnownAnswersOfTheAuthors) {
    EXPECT_EQ(philox4x32(0, {0, 0, 0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    const std::uint32_t f = 0xffffffff;
    EXPECT_EQ(philox4x32(~0ULL, {f, f, f, f}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox4x32(0x299f31d0a4093822ULL, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
              (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, StreamsDependOnEveryPartOfTheirKey) {
    const std::uint32_t base = Random(7, RandomUse::sample, 1, 2).next();
    EXPECT_EQ(Random(7, RandomUse::sample, 1, 2).next(), base);
    EXPECT_NE(Random(8, RandomUse::sample, 1, 2).next(), base);
    EXPECT_NE(Random(7, RandomUse::init, 1, 2).next(), base);
    EXPECT_NE(Random(7, RandomUse::sample, 2, 2).next(), base);
    EXPECT_NE(Random(7, RandomUse::sample, 1, 3).next(), base);
    EXPECT_EQ(base, philox4x32(7, {0, 1, 2, 1})[0]);
}

TEST(Random, UniformStaysBelowOneAndSpreads) {
    Random r(1, RandomUse::test);
    double sum = 0;
    for (int i = 0; i < 100000; ++i) {
        const double u = r.uniform();
        ASSERT_GE(u, 0.0);
        ASSERT_LT(u, 1.0);
        sum += u;
    }
    EXPECT_NEAR(sum / 100000, 0.5, 0.005);
}

TEST(Random, NormalAgreesWithTheLibraryAndHasTheRightMoments) {
    Random ours(3, RandomUse::test), same(3, RandomUse::test);
    double sum = 0, squares = 0, fourth = 0;
    const int n = 200000;
    for (int i = 0; i < n; ++i) {
        const double z = ours.normal();
        const double u1 = 1.0 - same.uniform(), u2 = same.uniform();
        const double expected = std::sqrt(-2.0 * std::log(u1)) * std::cos(2.0 * M_PI * u2);
        ASSERT_NEAR(z, expected, 1e-6) << i;
        sum += z;
        squares += z * z;
        fourth += z * z * z * z;
    }
    EXPECT_NEAR(sum / n, 0.0, 0.01);
    EXPECT_NEAR(squares / n, 1.0, 0.02);
    EXPECT_NEAR(fourth / n, 3.0, 0.1);
}

TEST(Random, NormalHasTheSameBitsOnEveryMachine) {
    Random r(42, RandomUse::init);
    const std::vector<float> first = {r.normal(), r.normal(), r.normal(), r.normal()};
    EXPECT_EQ(first, (std::vector<float>{-0x1.b17d8cp-1F, -0x1.be8e72p-1F, 0x1.824046p+0F, 0x1.4027b8p-1F}));
}

}  // namespace
}  // namespace freehold
