// The short ways to panels against the general one and against the layout as kernels.h tells it, byte for byte.
#include "lay.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/kernels/weight.h"
#include "testing.h"

namespace freehold {
namespace {

using testing::Generator;

// Any bytes at all: scales that are NaN or infinite too.
Tensor any_bytes(Generator& g, DType dtype, std::int64_t N, std::int64_t K) {
    Tensor w = Tensor::zeros(dtype, Shape({N, K}));
    auto* bytes = const_cast<std::byte*>(w.data());
    for (std::size_t i = 0; i < w.nbytes(); ++i) bytes[i] = static_cast<std::byte>(testing::uniform(g, 0, 255));
    return w;
}

// All panels by to_codes and pack_q_panel, a whole row at a time.
std::vector<std::byte> by_codes(const Tensor& w) {
    const DTypeTraits& t = traits(w.dtype());
    const QPanelForm form{t.form};
    const std::int64_t N = w.shape()[0];
    const auto n_blocks = static_cast<std::size_t>(w.shape()[1]) / kQBlock;
    const std::size_t stride = form.panel_bytes(n_blocks);
    std::vector<std::byte> out;
    for (std::int64_t row0 = 0; row0 < N; row0 += kPanelRows) {
        const int n_rows = static_cast<int>(std::min<std::int64_t>(kPanelRows, N - row0));
        std::vector<std::vector<CodeBlock>> codes(kPanelRows);
        const CodeBlock* rows[kPanelRows] = {};
        for (int r = 0; r < n_rows; ++r) {
            auto& row = codes[static_cast<std::size_t>(r)];
            row.resize(n_blocks);
            t.to_codes(w.row(row0 + r), row.data(), n_blocks * kQBlock);
            rows[r] = row.data();
        }
        out.resize(out.size() + stride);
        pack_q_panel(form, rows, n_rows, 0, n_blocks, out.data() + out.size() - stride);
    }
    return out;
}

TEST(Lay, PanelsOfEveryFormatAreThoseOfTheGeneralWay) {
    Generator g(1);
    ThreadPool pool(2);
    for (const DTypeTraits* t : all_traits()) {
        if (!t->quantised) continue;
        for (const std::int64_t N : {1, 16, 45, 160})
            for (const std::int64_t K : {t->block == 256 ? 256 : 32, t->block == 256 ? 768 : 288}) {
                const Tensor w = any_bytes(g, t->id, N, K);
                const Weight weight(w, Profile::q8, true, pool);
                const std::vector<std::byte> want = by_codes(w);
                ASSERT_EQ(weight.panels().size(), want.size()) << t->name;
                for (std::size_t i = 0; i < want.size(); ++i)
                    ASSERT_EQ(weight.panels()[i], want[i]) << t->name << " N=" << N << " K=" << K << " byte " << i;
                EXPECT_EQ(Weight::panels_needed(w, Profile::q8), want.size());
            }
    }
}

TEST(Lay, CommonFormatsHaveTheShortWay) {
    for (const DType dtype : {DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::Q8_0, DType::Q4_K, DType::Q5_K,
                              DType::Q6_K, DType::IQ4_NL, DType::IQ4_XS})
        EXPECT_NE(traits(dtype).to_packed, nullptr) << traits(dtype).name;
}

TEST(Lay, WordsGoSideBySide) {
    Generator g(2);
    for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{4}, std::size_t{7},
                                std::size_t{64}, std::size_t{129}}) {
        std::vector<std::vector<std::uint32_t>> rows(kPanelRows, std::vector<std::uint32_t>(n));
        const std::uint32_t* from[kPanelRows];
        for (std::size_t r = 0; r < kPanelRows; ++r) {
            for (std::uint32_t& w : rows[r]) w = static_cast<std::uint32_t>(g());
            from[r] = rows[r].data();
        }
        std::vector<std::uint32_t> out(n * kPanelRows + 4, 77);
        lay_words(from, n, out.data());
        for (std::size_t w = 0; w < n; ++w)
            for (std::size_t r = 0; r < kPanelRows; ++r) ASSERT_EQ(out[w * kPanelRows + r], rows[r][w]);
        for (std::size_t i = n * kPanelRows; i < out.size(); ++i) ASSERT_EQ(out[i], 77U) << "written past the end";
    }
}

TEST(Lay, FloatPanelsAreAsTold) {
    Generator g(3);
    ThreadPool pool(2);
    for (const DType dtype : {DType::F32, DType::F16, DType::BF16, DType::Q4_1, DType::Q6_K})
        for (const std::int64_t N : {1, 16, 37}) {
            const DTypeTraits& t = traits(dtype);
            for (const std::int64_t K : {t.block == 256 ? 512 : (t.quantised ? 96 : 1), t.quantised ? 1024 : 515}) {
                const Tensor w = any_bytes(g, dtype, N, K);
                const Tensor exact = w.to_f32();
                const auto k_end = static_cast<std::size_t>(K), even = (k_end + 1) / 2 * 2;
                const Weight f32(w, Profile::f32, true, pool), bf16(w, Profile::bf16, true, pool);
                ASSERT_EQ(f32.panels().size(), f32.panels_needed(w, Profile::f32));
                for (std::int64_t row = 0; row < (N + 15) / 16 * 16; ++row)
                    for (std::size_t k = 0; k < even; ++k) {
                        const auto panel = static_cast<std::size_t>(row / 16), r = static_cast<std::size_t>(row % 16);
                        const float value =
                            row < N && k < k_end ? exact.f32()[static_cast<std::size_t>(row) * k_end + k] : 0;
                        std::uint32_t word = 0;
                        std::uint16_t half = 0;
                        std::memcpy(&half, bf16.panels().data() + 2 * ((panel * even / 2 + k / 2) * 32 + 2 * r + k % 2),
                                    2);
                        ASSERT_EQ(half, f32_to_bf16(value)) << t.name << " row " << row << " k " << k;
                        if (k >= k_end) continue;
                        std::memcpy(&word, f32.panels().data() + 4 * ((panel * k_end + k) * 16 + r), 4);
                        ASSERT_EQ(word, std::bit_cast<std::uint32_t>(value)) << t.name << " row " << row << " k " << k;
                    }
            }
        }
}

TEST(Lay, PanelsFromElsewhereServeAndAreNotMadeAnew) {
    Generator g(4);
    ThreadPool pool(2);
    const Tensor w = any_bytes(g, DType::F32, 20, 33);
    const Weight made(w, Profile::f32, true, pool);
    const std::shared_ptr<const std::byte> memory(made.panels().data(), [](const std::byte*) {});
    Weight other(w, Profile::f32, memory);
    EXPECT_EQ(other.panels().data(), made.panels().data());
    EXPECT_EQ(other.panel_bytes(), made.panel_bytes());
    EXPECT_THROW(other.renew(pool), Error);
}

}  // namespace
}  // namespace freehold
