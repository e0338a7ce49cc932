// Every row entry of every table against the scalar reference, bit for bit, at every length from 1 to 70 and some long
// ones; and the scalar reference against plain double arithmetic.
#include <gtest/gtest.h>

#include <cmath>

#include "testing.h"

namespace freehold {
namespace {

using testing::equal_bits;
using testing::Generator;

std::vector<std::size_t> lengths() {
    std::vector<std::size_t> n;
    for (std::size_t i = 1; i <= 70; ++i) n.push_back(i);
    n.insert(n.end(), {576, 1000, 1536, 4099});
    return n;
}

constexpr float kGuard = 12345.0F;  // must survive behind the end of a row

TEST(Rows, NormsAgree) {
    Generator g(1);
    const Kernels& ref = scalar_kernels();
    for (const Kernels* k : testing::fast_tables())
        for (const std::size_t n : lengths())
            for (const NormKind kind : {NormKind::none, NormKind::rms, NormKind::layer})
                for (int with = 0; with < 4; ++with) {
                    const auto x = testing::odd_floats(g, n), w = testing::normals(g, n), b = testing::normals(g, n);
                    const float* weight = (with & 1) != 0 ? w.data() : nullptr;
                    const float* bias = (with & 2) != 0 ? b.data() : nullptr;
                    std::vector<float> want(n + 1, kGuard), got(n + 1, kGuard), want_stats(2), got_stats(2);
                    ref.norm_row(kind, x.data(), weight, bias, 1e-5F, n, want.data(), want_stats.data());
                    k->norm_row(kind, x.data(), weight, bias, 1e-5F, n, got.data(), got_stats.data());
                    ASSERT_TRUE(equal_bits(want, got)) << k->name << " n=" << n;
                    if (kind != NormKind::none) {
                        ASSERT_TRUE(equal_bits(want_stats, got_stats)) << n;
                    }
                    std::vector<float> in_place = x;
                    k->norm_row(kind, in_place.data(), weight, bias, 1e-5F, n, in_place.data(), nullptr);
                    ASSERT_TRUE(equal_bits(std::span(want).first(n), in_place));
                }
}

TEST(Rows, NormsAreNorms) {
    Generator g(2);
    const auto x = testing::normals(g, 777, 3), w = testing::normals(g, 777), b = testing::normals(g, 777);
    std::vector<float> y(777);
    double mean = 0, squares = 0, variance = 0;
    for (const float v : x)
        mean += static_cast<double>(v) / 777, squares += static_cast<double>(v) * static_cast<double>(v) / 777;
    for (const float v : x) variance += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean) / 777;
    scalar_kernels().norm_row(NormKind::rms, x.data(), w.data(), nullptr, 1e-5F, 777, y.data(), nullptr);
    for (std::size_t i = 0; i < 777; ++i) EXPECT_NEAR(y[i], x[i] * w[i] / std::sqrt(squares + 1e-5), 1e-5);
    scalar_kernels().norm_row(NormKind::layer, x.data(), w.data(), b.data(), 1e-5F, 777, y.data(), nullptr);
    for (std::size_t i = 0; i < 777; ++i)
        EXPECT_NEAR(y[i],
                    (x[i] - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(w[i]) + static_cast<double>(b[i]),
                    1e-5);
}

constexpr Activation kActivations[] = {Activation::none,      Activation::relu,     Activation::silu,
                                       Activation::gelu_tanh, Activation::gelu_erf, Activation::quick_gelu};

TEST(Rows, ActivationsAgree) {
    Generator g(3);
    for (const Kernels* k : testing::fast_tables())
        for (const Activation act : kActivations) {
            for (const std::size_t n : lengths())
                for (int gated = 0; gated < 2; ++gated) {
                    auto x = testing::odd_floats(g, n);
                    for (float& v : x) v *= 5;
                    const auto up = testing::normals(g, n);
                    std::vector<float> want(n + 1, kGuard), got(n + 1, kGuard);
                    scalar_kernels().activate(act, x.data(), gated != 0 ? up.data() : nullptr, want.data(), n);
                    k->activate(act, x.data(), gated != 0 ? up.data() : nullptr, got.data(), n);
                    ASSERT_TRUE(equal_bits(want, got))
                        << k->name << " activation " << static_cast<int>(act) << " n=" << n;
                }
            std::vector<float> sweep;  // every 9973rd float
            for (std::uint64_t bits = 0; bits < 0x100000000U; bits += 9973)
                sweep.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
            std::vector<float> want(sweep.size()), got(sweep.size());
            scalar_kernels().activate(act, sweep.data(), nullptr, want.data(), sweep.size());
            k->activate(act, sweep.data(), nullptr, got.data(), sweep.size());
            ASSERT_TRUE(equal_bits(want, got)) << k->name << " activation " << static_cast<int>(act);
        }
}

TEST(Rows, XieluAgreesAndIsWhatItIsCalled) {
    Generator g(31);
    const XieluShape shape{1.3F, 0.9F, 0.5F, -1e-6F};
    for (const std::size_t n : lengths()) {
        const auto x = testing::odd_floats(g, n);
        std::vector<float> want(n + 1, kGuard);
        scalar_kernels().xielu(shape, x.data(), want.data(), n);
        for (const Kernels* k : testing::fast_tables()) {
            std::vector<float> got(n + 1, kGuard);
            k->xielu(shape, x.data(), got.data(), n);
            ASSERT_TRUE(equal_bits(want, got)) << k->name << " n=" << n;
        }
    }
    for (double x = -12; x < 12; x += 0.01) {
        const auto in = static_cast<float>(x);
        float y = 0;
        scalar_kernels().xielu(shape, &in, &y, 1);
        const auto v = static_cast<double>(in);
        const double want = v > 0 ? 1.3 * v * v + 0.5 * v : 0.9 * (std::expm1(std::min(v, -1e-6)) - v) + 0.5 * v;
        EXPECT_NEAR(static_cast<double>(y), want, 3e-6 * (1 + std::fabs(want)));
    }
}

TEST(Rows, ClampedGluAgreesAndIsWhatItIsCalled) {
    Generator g(32);
    const ClampedGlu shape{1.7F, 2.5F};
    for (const std::size_t n : lengths()) {
        const auto gate = testing::odd_floats(g, n), up = testing::odd_floats(g, n);
        std::vector<float> want(n + 1, kGuard);
        scalar_kernels().clamped_glu(shape, gate.data(), up.data(), want.data(), n);
        for (const Kernels* k : testing::fast_tables()) {
            std::vector<float> got(n + 1, kGuard);
            k->clamped_glu(shape, gate.data(), up.data(), got.data(), n);
            ASSERT_TRUE(equal_bits(want, got)) << k->name << " n=" << n;
        }
    }
    for (double x = -12; x < 12; x += 0.01) {
        for (const double u : {-9.0, -2.0, 0.3, 2.4, 9.0}) {
            const auto gate = static_cast<float>(x), up = static_cast<float>(u);
            float y = 0;
            scalar_kernels().clamped_glu(shape, &gate, &up, &y, 1);
            const double held = std::min(x, 2.5),
                         want = (std::clamp(u, -2.5, 2.5) + 1) * held / (1 + std::exp(-1.7 * held));
            EXPECT_NEAR(static_cast<double>(y), want, 5e-6 * (1 + std::fabs(want)));
        }
    }
}

TEST(Rows, ActivationsAreWhatTheyAreCalled) {
    for (double x = -12; x < 12; x += 0.01) {
        const auto in = static_cast<float>(x);
        const auto value = [&](Activation a) {
            float y = 0;
            scalar_kernels().activate(a, &in, nullptr, &y, 1);
            return static_cast<double>(y);
        };
        const double v = static_cast<double>(in);
        EXPECT_EQ(value(Activation::none), v);
        EXPECT_EQ(value(Activation::relu), std::max(v, 0.0));
        EXPECT_NEAR(value(Activation::silu), v / (1 + std::exp(-v)), 2e-6);
        EXPECT_NEAR(value(Activation::quick_gelu), v / (1 + std::exp(-1.702 * v)), 2e-6);
        EXPECT_NEAR(value(Activation::gelu_erf), 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))), 2e-6);
        EXPECT_NEAR(value(Activation::gelu_tanh),
                    0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))), 2e-6);
    }
}

TEST(Rows, SmallOnesAgree) {
    Generator g(4);
    const Kernels& ref = scalar_kernels();
    for (const Kernels* k : testing::fast_tables())
        for (const std::size_t n : lengths()) {
            const auto a = testing::odd_floats(g, n), b = testing::odd_floats(g, n);
            std::vector<float> want(n + 1, kGuard), got(n + 1, kGuard);
            ref.add(a.data(), b.data(), want.data(), n);
            k->add(a.data(), b.data(), got.data(), n);
            ASSERT_TRUE(equal_bits(want, got)) << k->name << " add " << n;
            ref.add_scaled(0.37F, a.data(), want.data(), n);
            k->add_scaled(0.37F, a.data(), got.data(), n);
            ASSERT_TRUE(equal_bits(want, got)) << k->name << " add_scaled " << n;
            ref.scale(-1.7F, want.data(), n);
            k->scale(-1.7F, got.data(), n);
            ASSERT_TRUE(equal_bits(want, got)) << k->name << " scale " << n;
            ref.softcap(30.0F, want.data(), n);
            k->softcap(30.0F, got.data(), n);
            ASSERT_TRUE(equal_bits(want, got)) << k->name << " softcap " << n;
            std::vector<float> want_e(n + 1, kGuard), got_e(n + 1, kGuard);
            const float max = ref.max_value(b.data(), n);
            ASSERT_EQ(k->max_value(b.data(), n), max);
            ASSERT_EQ(k->argmax(b.data(), n), ref.argmax(b.data(), n));
            ASSERT_EQ(b[ref.argmax(b.data(), n)], max);
            const double want_sum = ref.exp_sum(b.data(), max, n, want_e.data()),
                         got_sum = k->exp_sum(b.data(), max, n, got_e.data());
            ASSERT_EQ(std::bit_cast<std::uint64_t>(want_sum), std::bit_cast<std::uint64_t>(got_sum))
                << k->name << " " << n;
            ASSERT_TRUE(equal_bits(want_e, got_e));
            ASSERT_EQ(k->exp_sum(b.data(), max, n, nullptr), want_sum);
        }
}

TEST(Rows, ArgmaxTakesTheFirstOfEquals) {
    for (const Kernels* k : available_kernels()) {
        for (std::size_t n : {1U, 7U, 8U, 9U, 40U, 333U})
            for (std::size_t first = 0; first < n; first += 3)
                for (std::size_t second = first; second < n; second += 5) {
                    std::vector<float> x(n, -1);
                    x[first] = x[second] = 4;
                    ASSERT_EQ(k->argmax(x.data(), n), first) << k->name;
                }
        std::vector<float> none(20, -std::numeric_limits<float>::infinity());
        EXPECT_EQ(k->argmax(none.data(), 20), 0U);
        none[11] = std::numeric_limits<float>::quiet_NaN();
        none[13] = -5;
        EXPECT_EQ(k->argmax(none.data(), 20), 13U) << "NaN is never the largest";
        EXPECT_EQ(k->max_value(none.data(), 20), -5.0F);
    }
}

TEST(Rows, RotaryAgrees) {
    Generator g(5);
    for (const Kernels* k : testing::fast_tables())
        for (int n = 2; n <= 130; n += 2)
            for (const bool interleaved : {false, true}) {
                const auto head = testing::normals(g, 140), cs = testing::normals(g, static_cast<std::size_t>(n));
                auto want = head, got = head;
                scalar_kernels().rope(want.data(), cs.data(), n, interleaved);
                k->rope(got.data(), cs.data(), n, interleaved);
                ASSERT_TRUE(equal_bits(want, got)) << k->name << " " << n;
                ASSERT_TRUE(equal_bits(std::span(head).subspan(static_cast<std::size_t>(n)),
                                       std::span(got).subspan(static_cast<std::size_t>(n))));
                const auto h = static_cast<std::size_t>(n / 2);
                const std::size_t i = h - 1, a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + h;
                EXPECT_NEAR(want[a], head[a] * cs[i] - head[b] * cs[h + i], 1e-5F);
                EXPECT_NEAR(want[b], head[b] * cs[i] + head[a] * cs[h + i], 1e-5F);
            }
}

TEST(Rows, HalvesAgree) {
    Generator g(6);
    std::vector<float> all;
    for (std::uint64_t bits = 0; bits < 0x100000000U; bits += 4001)
        all.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    std::vector<std::uint16_t> every(65536);
    for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<std::uint16_t>(i);
    for (const Kernels* k : testing::fast_tables()) {
        for (const std::size_t n : {std::size_t{1}, std::size_t{7}, std::size_t{31}, all.size()}) {
            std::vector<std::uint16_t> want(n + 1, 7), got(n + 1, 7);
            scalar_kernels().f32_to_f16(all.data(), want.data(), n);
            k->f32_to_f16(all.data(), got.data(), n);
            ASSERT_EQ(want, got);
            scalar_kernels().to_bf16(all.data(), want.data(), n);
            k->to_bf16(all.data(), got.data(), n);
            ASSERT_EQ(want, got);
        }
        std::vector<float> want(65536), got(65536);
        scalar_kernels().f16_to_f32(every.data(), want.data(), every.size());
        k->f16_to_f32(every.data(), got.data(), every.size());
        ASSERT_EQ(std::memcmp(want.data(), got.data(), 4 * want.size()), 0);
    }
}

// Rule 1: x * inverse is rounded before it is rounded to an integer. A compiler that fuses the two on its own gives the
// upper neighbour here, and the scalar reference would be wrong with all tables that agree with it.
TEST(Rows, QuantisingRoundsTheProductFirst) {
    const float amax = 100.0F, inverse = 127.0F / amax;
    int found = 0;
    for (int even = 2; even < 120; even += 2) {
        const double tie = even + 0.5;
        float x = std::nextafter(static_cast<float>(tie / static_cast<double>(inverse)), 0.0F);
        for (int step = 0; step < 3; ++step, x = std::nextafter(x, amax)) {
            const double exact = static_cast<double>(x) * static_cast<double>(inverse);  // 48 bits: exact
            if (exact <= tie || static_cast<double>(static_cast<float>(exact)) != tie) continue;
            ++found;
            const std::vector<float> row{amax, x};
            for (const Kernels* k : available_kernels()) {
                testing::Q8Buffer got(1, row.size());
                k->quantize_row(row.data(), row.size(), got.rows, 0);
                EXPECT_EQ(got.codes[1], even) << k->name << " x=" << x;
            }
        }
    }
    EXPECT_GT(found, 5);
}

TEST(Rows, QuantisingAgrees) {
    Generator g(7);
    for (std::size_t K : {1U, 15U, 31U, 32U, 33U, 64U, 576U, 1000U})
        for (int kind = 0; kind < 6; ++kind) {
            std::vector<float> x = kind == 0 ? testing::normals(g, K) : testing::odd_floats(g, K);
            if (kind == 2)
                for (float& v : x) v = 0;
            if (kind == 3)
                for (float& v : x) v *= 1e-38F;
            if (kind == 4)
                for (std::size_t i = 0; i < K; ++i)
                    x[i] = i % 2 == 0 ? 127.0F : 0.5F + static_cast<float>(i % 32);  // ties
            if (kind == 5)
                x[K / 2] =
                    K % 2 == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
            testing::Q8Buffer want(2, K);
            scalar_kernels().quantize_row(x.data(), K, want.rows, 1);
            for (const Kernels* k : testing::fast_tables()) {
                testing::Q8Buffer got(2, K);
                k->quantize_row(x.data(), K, got.rows, 1);
                ASSERT_EQ(want.codes, got.codes) << K << " " << kind;
                ASSERT_EQ(want.sum, got.sum);
                ASSERT_EQ(want.half, got.half);
                ASSERT_TRUE(equal_bits(want.scale, got.scale));
                ASSERT_TRUE(equal_bits(want.fsum, got.fsum));
            }
            if (kind != 0) continue;
            const std::size_t blocks = want.rows.padded_k / 32;
            for (std::size_t i = 0; i < K; ++i) {  // rule 3 in words
                const float scale = want.scale[blocks + i / 32];
                EXPECT_NEAR(static_cast<float>(want.codes[want.rows.padded_k + i]) * scale, x[i], 0.501F * scale);
            }
            EXPECT_EQ(want.codes[0], 99) << "the other row was touched";
        }
}

}  // namespace
}  // namespace freehold
