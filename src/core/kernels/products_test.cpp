// The matrix products of every table against the scalar reference, bit for bit: every form of codes, extreme codes and
// activations, lengths that fill no panel, no block and no tile; and the scalar reference against exact integers.
#include <gtest/gtest.h>

#include <cmath>

#include "testing.h"

namespace freehold {
namespace {

using testing::equal_bits;
using testing::Generator;

constexpr float kGuard = 12345.0F;

TEST(Products, F32ChainsAgree) {
    Generator g(1);
    for (const std::size_t K : {0U, 1U, 2U, 17U, 64U, 129U})
        for (std::size_t T = 1; T <= 17; ++T)
            for (const int n_valid : {1, 5, 8, 11, 16})
                for (const bool accumulate : {false, true}) {
                    const std::size_t ldx = K + 3, ldy = 19,
                                      stride = n_valid == 16 ? 16 : static_cast<std::size_t>(n_valid);
                    const auto x = testing::odd_floats(g, T * ldx), w = testing::normals(g, K * stride + 1);
                    auto want = testing::normals(g, T * ldy), got = want;
                    scalar_kernels().panel_f32(x.data(), ldx, 1, T, w.data(), stride, K, want.data(), ldy, n_valid,
                                               accumulate);
                    for (const Kernels* k : testing::fast_tables()) {
                        auto y = got;
                        k->panel_f32(x.data(), ldx, 1, T, w.data(), stride, K, y.data(), ldy, n_valid, accumulate);
                        ASSERT_TRUE(equal_bits(want, y)) << k->name << " K=" << K << " T=" << T << " n=" << n_valid;
                        // Columns of x as rows: the strides of the backward pass.
                        auto turned_want = got, turned = got;
                        scalar_kernels().panel_f32(x.data(), 1, T, T, w.data(), stride, K, turned_want.data(), ldy,
                                                   n_valid, accumulate);
                        k->panel_f32(x.data(), 1, T, T, w.data(), stride, K, turned.data(), ldy, n_valid, accumulate);
                        ASSERT_TRUE(equal_bits(turned_want, turned));
                    }
                }
}

TEST(Products, F32ReferenceIsOneChain) {
    Generator g(2);
    const auto x = testing::normals(g, 100), w = testing::normals(g, 1600);
    std::vector<float> y(16);
    scalar_kernels().panel_f32(x.data(), 100, 1, 1, w.data(), 16, 100, y.data(), 16, 16, false);
    for (std::size_t j = 0; j < 16; ++j) {
        float acc = 0;
        for (std::size_t k = 0; k < 100; ++k) acc = std::fma(x[k], w[16 * k + j], acc);
        EXPECT_EQ(y[j], acc);
    }
}

TEST(Products, Bf16PairsAgreeWithDenormals) {
    Generator g(3);
    for (const std::size_t K : {2U, 4U, 34U, 130U, 700U})
        for (std::size_t T = 1; T <= 9; ++T)
            for (const int n_valid : {3, 16})
                for (int kind = 0; kind < 3; ++kind) {
                    std::vector<std::uint16_t> x(T * K), w(K * 16);
                    const auto fill = [&](std::vector<std::uint16_t>& v) {
                        for (auto& h : v) {
                            h = f32_to_bf16(testing::normal(g));
                            if (kind == 1 && testing::uniform(g, 0, 2) == 0)
                                h = static_cast<std::uint16_t>(testing::uniform(g, 0, 255));  // denormals and tiny
                            if (kind == 2)
                                h = f32_to_bf16(testing::normal(g) * 0x1p-63F);  // products near the smallest normal
                        }
                    };
                    fill(x);
                    fill(w);
                    std::vector<float> want(T * 17, kGuard), got = want;
                    scalar_kernels().panel_bf16(x.data(), K, T, w.data(), K, want.data(), 17, n_valid);
                    for (const Kernels* k : testing::fast_tables()) {
                        auto y = got;
                        k->panel_bf16(x.data(), K, T, w.data(), K, y.data(), 17, n_valid);
                        ASSERT_TRUE(equal_bits(want, y)) << k->name << " K=" << K << " T=" << T << " kind=" << kind;
                        if (k->panel_bf16_wide == nullptr) continue;
                        std::vector<float> wide(x.size());
                        for (std::size_t i = 0; i < x.size(); ++i) wide[i] = bf16_to_f32(x[i ^ 1U]);
                        y = got;
                        k->panel_bf16_wide(wide.data(), K, T, w.data(), K, y.data(), 17, n_valid);
                        ASSERT_TRUE(equal_bits(want, y))
                            << k->name << " wide, K=" << K << " T=" << T << " kind=" << kind;
                    }
                }
    // The environment is as before: denormals live.
    volatile float tiny = 1e-40F;
    EXPECT_GT(tiny * 0.5F, 0.0F);
}

// A sum just under the smallest normal number: what rounds up to it stays, what does not is zero. Chips differ in when
// they look (before or after rounding), tables must not.
TEST(Products, Bf16SumsAreTinyOrNotAfterRounding) {
    constexpr float kSmallest = 0x1p-126F;
    // Less 2^-152, 1.5 * 2^-151 and 2^-150, each as a product with 2^-80.
    for (const auto& [factor, want] : {std::pair{0x1p-72F, kSmallest}, {0x1.8p-71F, 0.0F}, {0x1p-70F, 0.0F}}) {
        // The odd element of a pair comes first: it gives 2^-126.
        const std::uint16_t x[2] = {f32_to_bf16(-factor), f32_to_bf16(0x1p-60F)};
        std::vector<std::uint16_t> panel;
        for (int row = 0; row < 16; ++row) {
            panel.push_back(f32_to_bf16(0x1p-80F));
            panel.push_back(f32_to_bf16(0x1p-66F));
        }
        for (const Kernels* k : available_kernels()) {
            std::vector<float> y(16, kGuard);
            k->panel_bf16(x, 2, 1, panel.data(), 2, y.data(), 16, 16);
            for (const float v : y) EXPECT_EQ(v, want) << k->name << " factor " << factor;
        }
    }
}

struct Case {
    QPanelForm form;
    std::vector<std::byte> panel;
    std::vector<std::vector<CodeBlock>> rows;
};

// Values that the 4-bit codes of a form with a table stand for here.
constexpr std::uint8_t kTable[16] = {0, 1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 217, 255};

int value_of(const QuantForm& f, std::uint8_t code) {
    return f.table != nullptr ? f.table[code] : code;
}

// fill: 0 random, 1 all codes 0, 2 all codes at the maximum.
Case make_case(Generator& g, const QuantForm& f, std::size_t blocks, int fill, int n_rows) {
    Case c;
    c.form.form = f;
    c.panel.resize(c.form.panel_bytes(blocks));
    const int most = f.table != nullptr ? 15 : f.max_code;
    const CodeBlock* pointers[kPanelRows] = {};
    for (int r = 0; r < n_rows; ++r) {
        auto& row = c.rows.emplace_back(blocks);
        for (CodeBlock& b : row) {
            for (auto& code : b.code)
                code = static_cast<std::uint8_t>(fill == 0 ? testing::uniform(g, 0, most) : (fill == 1 ? 0 : most));
            b.scale = testing::normal(g) * 0.01F;
            if (f.has_min) b.min = testing::normal(g) * 0.1F;
            if (testing::uniform(g, 0, 15) == 0)
                b.scale = testing::uniform(g, 0, 1) == 0 ? 0.0F : 3e-6F;  // denormal in F16
            if (f.scales != ScaleForm::f32) {
                b.scale = f16_to_f32(f32_to_f16(b.scale));
                b.min = f16_to_f32(f32_to_f16(b.min));
            }
            const auto integer = [&](int low, int high) {
                return fill == 0 ? testing::uniform(g, low, high) : (fill == 1 ? low : high);
            };
            if (f.scales == ScaleForm::super) {
                const auto first =
                    static_cast<std::size_t>(&b - row.data()) / QPanelForm::kSuperBlocks * QPanelForm::kSuperBlocks;
                b.scale = row[first].scale;
                b.min = row[first].min;
                if (!f.has_half) b.scale_code = static_cast<std::int8_t>(integer(-32, 63));
                if (f.has_min && !f.has_half_min) b.min_code = static_cast<std::int8_t>(integer(0, 63));
            }
            // Halves as large as sums below 2^24 leave room for.
            const int bound = f.max_code > 63 ? 31 : 127;
            if (f.has_half)
                for (auto& h : b.half) h = static_cast<std::int8_t>(integer(-bound - 1, bound));
            if (f.has_half_min)
                for (auto& h : b.half_min) h = static_cast<std::uint8_t>(integer(0, 255));
        }
        pointers[r] = row.data();
    }
    pack_q_panel(c.form, pointers, n_rows, 0, blocks, c.panel.data());
    return c;
}

// activations: 0 random, 1 all at +127, 2 all at -127, 3 alternating.
testing::Q8Buffer make_rows(Generator& g, std::size_t T, std::size_t K, int kind) {
    testing::Q8Buffer x(T, K);
    for (std::size_t t = 0; t < T; ++t) {
        auto row = testing::normals(g, K);
        for (std::size_t i = 0; i < K; ++i)
            if (kind != 0) row[i] = kind == 1 ? 2.0F : (kind == 2 ? -2.0F : (i % 2 == 0 ? 2.0F : -2.0F));
        scalar_kernels().quantize_row(row.data(), K, x.rows, t);
    }
    return x;
}

std::vector<QuantForm> all_forms() {
    std::vector<QuantForm> forms;
    for (const DTypeTraits* t : all_traits())
        if (t->quantised) forms.push_back(t->form);
    // Forms that no format of this build has yet: every way of counting, offsets that are no power of two.
    for (const auto& [bits, max] :
         {std::pair{2, 3}, {3, 7}, {4, 15}, {4, 255}, {5, 31}, {6, 63}, {8, 15}, {8, 31}, {8, 63}, {8, 127}, {8, 255}})
        for (const int zero : {0, 37, 128})
            for (int flags = 0; flags < 8; ++flags)
                for (const ScaleForm scales : {ScaleForm::f32, ScaleForm::f16, ScaleForm::super}) {
                    const bool has_min = (flags & 1) != 0, has_half = (flags & 2) != 0;
                    const bool has_half_min = (flags & 4) != 0;
                    if (has_half_min && !(has_min && has_half)) continue;
                    forms.push_back({.bits = static_cast<std::uint8_t>(bits),
                                     .zero = static_cast<std::uint8_t>(zero),
                                     .max_code = static_cast<std::uint8_t>(max),
                                     .has_min = has_min,
                                     .has_half = has_half,
                                     .has_half_min = has_half_min,
                                     .scales = scales,
                                     .table = bits == 4 && max == 255 ? kTable : nullptr});
                }
    return forms;
}

std::string describe(const QuantForm& f) {
    static constexpr const char* kScales[] = {" f32", " f16", " super"};
    return "bits " + std::to_string(f.bits) + " zero " + std::to_string(f.zero) + " max " + std::to_string(f.max_code) +
           (f.has_min ? " min" : "") + (f.has_half ? " half" : "") + (f.has_half_min ? " half-min" : "") +
           kScales[static_cast<int>(f.scales)] + (f.table != nullptr ? " table" : "");
}

TEST(Products, Q8FormsAgree) {
    Generator g(4);
    for (const QuantForm& f : all_forms())
        for (const std::size_t blocks : {std::size_t{1}, std::size_t{3}, std::size_t{33}})
            for (int fill = 0; fill < 3; ++fill)
                for (int kind = 0; kind < 4; ++kind) {
                    if (fill == 0 && kind != 0 && blocks != 3) continue;
                    const Case c = make_case(g, f, blocks, fill, 16);
                    const std::size_t T = static_cast<std::size_t>(testing::uniform(g, 1, 17)),
                                      t0 = static_cast<std::size_t>(testing::uniform(g, 0, 2));
                    testing::Q8Buffer x = make_rows(g, T + t0, blocks * 32, kind);
                    const int n_valid = testing::uniform(g, 0, 1) == 0 ? 16 : testing::uniform(g, 1, 16);
                    std::vector<float> want(T * 21, kGuard), got = want;
                    scalar_kernels().panel_q8(x.rows, t0, T, c.form, c.panel.data(), want.data(), 21, n_valid);
                    for (const Kernels* k : testing::fast_tables()) {
                        auto y = got;
                        k->panel_q8(x.rows, t0, T, c.form, c.panel.data(), y.data(), 21, n_valid);
                        ASSERT_TRUE(equal_bits(want, y))
                            << k->name << " " << describe(f) << " blocks " << blocks << " fill " << fill << " T " << T;
                        y = got;
                        k->panel_q8(x.widened(), t0, T, c.form, c.panel.data(), y.data(), 21, n_valid);
                        ASSERT_TRUE(equal_bits(want, y)) << k->name << " wide " << describe(f) << " blocks " << blocks
                                                         << " fill " << fill << " T " << T;
                    }
                }
}

TEST(Products, Q8EveryNumberOfRows) {
    Generator g(5);
    for (const DTypeTraits* t : all_traits()) {
        if (!t->quantised) continue;
        const Case c = make_case(g, t->form, 70, 0, 13);
        testing::Q8Buffer x = make_rows(g, 140, 70 * 32, 0);
        for (const std::size_t T :
             {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 10U, 11U, 12U, 13U, 14U, 15U, 16U, 17U, 64U, 65U, 140U})
            for (const int n_valid : {7, 16}) {
                std::vector<float> want(T * 16, kGuard), got = want;
                scalar_kernels().panel_q8(x.rows, 0, T, c.form, c.panel.data(), want.data(), 16, n_valid);
                for (const Kernels* k : testing::fast_tables()) {
                    auto y = got;
                    k->panel_q8(x.rows, 0, T, c.form, c.panel.data(), y.data(), 16, n_valid);
                    ASSERT_TRUE(equal_bits(want, y)) << k->name << " " << t->name << " T=" << T;
                    y = got;
                    k->panel_q8(x.widened(), 0, T, c.form, c.panel.data(), y.data(), 16, n_valid);
                    ASSERT_TRUE(equal_bits(want, y)) << k->name << " wide " << t->name << " T=" << T;
                }
            }
    }
}

TEST(Products, Q8ReferenceIsTheNumberThatTheFormatMeans) {
    Generator g(6);
    for (const QuantForm& f : all_forms()) {
        const Case c = make_case(g, f, 5, 0, 16);
        const testing::Q8Buffer x = make_rows(g, 1, 160, 0);
        std::vector<float> y(16);
        scalar_kernels().panel_q8(x.rows, 0, 1, c.form, c.panel.data(), y.data(), 16, 16);
        for (std::size_t j = 0; j < 16; ++j) {
            double exact = 0, size = 0;
            for (std::size_t b = 0; b < 5; ++b)
                for (std::size_t i = 0; i < 32; ++i) {
                    const CodeBlock& block = c.rows[j][b];
                    const double weight =
                        static_cast<double>(block.block_scale()) * (f.has_half ? block.half[i / 16] : 1) *
                            (value_of(f, block.code[i]) - f.zero) +
                        (f.has_min
                             ? static_cast<double>(block.block_min()) * (f.has_half_min ? block.half_min[i / 16] : 1)
                             : 0.0);
                    const double term = weight * x.codes[b * 32 + i] * static_cast<double>(x.scale[b]);
                    exact += term;
                    size += std::abs(term);
                }
            ASSERT_NEAR(y[j], exact, 1e-6 * size + 1e-12) << describe(f);
        }
    }
}

}  // namespace
}  // namespace freehold
