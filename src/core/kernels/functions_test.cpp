// Our own functions against the C library in double precision, over dense sweeps, and one formula against its shortcut.
// The bounds are what was measured, rounded up; docs/numerics.md quotes them.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "scalar_lane.h"
#include "testing.h"

namespace freehold {
namespace {

// Error in units of the last place of the true value as a float.
double ulps(float got, double want) {
    const auto rounded = static_cast<float>(want);
    if (static_cast<double>(got) == want) return 0;
    const float size = std::max(std::abs(rounded), 0x1p-126F);
    const double unit =
        static_cast<double>(std::nextafter(size, std::numeric_limits<float>::infinity())) - static_cast<double>(size);
    return std::abs(static_cast<double>(got) - want) / unit;
}

// Worst error over every `step`-th float of both signs with magnitude in [low, high].
double worst(float low, float high, std::uint32_t step, float (*f)(float), double (*reference)(double),
             bool both_signs = true) {
    double most = 0;
    const auto end = std::bit_cast<std::uint32_t>(high);
    for (auto bits = std::bit_cast<std::uint32_t>(low); bits <= end; bits += step)
        for (int sign = 0; sign < (both_signs ? 2 : 1); ++sign) {
            const auto x = std::bit_cast<float>(bits | (sign != 0 ? 0x80000000U : 0U));
            most = std::max(most, ulps(f(x), reference(static_cast<double>(x))));
        }
    return most;
}

TEST(Functions, ExpWithinTwoUnits) {
    const double error = worst(1e-30F, 87.3F, 301, fh_exp, std::exp);
    std::cout << "exp: at most " << error << " units in the last place\n";
    EXPECT_LT(error, 2.0);
    EXPECT_LT(worst(87.3F, 88.7F, 7, fh_exp, std::exp, false), 2.0);
    EXPECT_EQ(fh_exp(0.0F), 1.0F);
    EXPECT_EQ(fh_exp(-0.0F), 1.0F);
    EXPECT_EQ(fh_exp(-88.0F), 0.0F);
    EXPECT_EQ(fh_exp(-std::numeric_limits<float>::infinity()), 0.0F);
    EXPECT_EQ(fh_exp(89.0F), std::numeric_limits<float>::infinity());
    EXPECT_EQ(fh_exp(std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
    EXPECT_EQ(fh_exp(std::numeric_limits<float>::max()), std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isfinite(fh_exp(88.72F)));
    EXPECT_TRUE(std::isnan(fh_exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Functions, ExpForSoftmaxIsTheSameFunction) {
    for (std::uint32_t bits = 0; bits <= std::bit_cast<std::uint32_t>(200.0F); bits += 97) {
        const auto x = std::bit_cast<float>(bits | 0x80000000U);
        ASSERT_TRUE(testing::same_bits(formula::exp_of(F1{x}).v, formula::exp_nonpositive_of(F1{x}).v)) << x;
    }
    for (const float x : {0.0F, -87.3365F, -87.33650F, -std::numeric_limits<float>::infinity()})
        EXPECT_TRUE(testing::same_bits(fh_exp(x), formula::exp_nonpositive_of(F1{x}).v)) << x;
    EXPECT_TRUE(std::isnan(formula::exp_nonpositive_of(F1{std::numeric_limits<float>::quiet_NaN()}).v));
}

TEST(Functions, TanhAndErfWithinThreeUnits) {
    const double tanh_error = worst(1e-30F, 20.0F, 301, fh_tanh, std::tanh),
                 erf_error = worst(1e-30F, 10.0F, 301, fh_erf, std::erf);
    std::cout << "tanh: at most " << tanh_error << ", erf: at most " << erf_error << " units in the last place\n";
    EXPECT_LT(tanh_error, 3.0);
    EXPECT_LT(erf_error, 3.0);
    for (float (*f)(float) : {fh_tanh, fh_erf}) {
        EXPECT_EQ(f(1e30F), 1.0F);
        EXPECT_EQ(f(-std::numeric_limits<float>::infinity()), -1.0F);
        EXPECT_EQ(f(0.0F), 0.0F);
        EXPECT_TRUE(std::isnan(f(std::numeric_limits<float>::quiet_NaN())));
        EXPECT_LE(std::abs(f(0.5624999F) - f(0.5625F)), 1e-6F);
        EXPECT_LE(std::abs(f(0.9999999F) - f(1.0F)), 1e-6F);
    }
}

TEST(Functions, LogAndPowInDouble) {
    EXPECT_LT(worst(1e-44F, 3e38F, 1013, fh_log, std::log, false), 0.6);
    testing::Generator g(1);
    for (int i = 0; i < 200000; ++i) {
        const double x = std::exp(std::uniform_real_distribution<double>(-700, 700)(g));
        ASSERT_NEAR(fh_log_double(x), std::log(x), 3e-16 * std::max(1.0, std::abs(std::log(x))));
        const double base = std::uniform_real_distribution<double>(1, 1e6)(g),
                     e = std::uniform_real_distribution<double>(-1, 1)(g);
        ASSERT_NEAR(fh_pow(base, e) / std::pow(base, e), 1.0, 1e-14);
    }
    EXPECT_EQ(fh_log(1.0F), 0.0F);
    EXPECT_EQ(fh_log(0.0F), -std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(fh_log(-1.0F)));
    EXPECT_EQ(fh_pow(10000.0, 0.0), 1.0);
}

TEST(Functions, SinCosToPositionsOfAMillion) {
    testing::Generator g(2);
    double most = 0;
    for (int i = 0; i < 400000; ++i) {
        const double x = std::uniform_real_distribution<double>(-1, i % 2 == 0 ? 10.0 : 1048576.0)(g);
        double s, c;
        fh_sincos(x, s, c);
        most = std::max({most, std::abs(s - std::sin(x)), std::abs(c - std::cos(x))});
    }
    for (int n = 0; n < 400; ++n) {  // near the borders of the reduction
        const double x = n * 0.78539816339744830962;
        double s, c;
        fh_sincos(x, s, c);
        most = std::max({most, std::abs(s - std::sin(x)), std::abs(c - std::cos(x))});
    }
    EXPECT_LT(most, 1e-15);
    double s, c;
    fh_sincos(0, s, c);
    EXPECT_EQ(s, 0.0);
    EXPECT_EQ(c, 1.0);
}

}  // namespace
}  // namespace freehold
