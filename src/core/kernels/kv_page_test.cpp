// What a page gives back of what was written: F32 as it was, F16 rounded, Q8_0 within half a step of its block.
#include "freehold/kernels/kv_page.h"

#include <gtest/gtest.h>

#include <cmath>

#include "testing.h"

namespace freehold {
namespace {

using testing::Generator;

TEST(KvPage, Q8QuantisesAsWritten) {
    Generator g(1);
    for (const float size : {1e-4F, 1.0F, 3e4F})
        for (const std::size_t n :
             {std::size_t{1}, std::size_t{8}, std::size_t{32}, std::size_t{33}, std::size_t{80}}) {
            const std::vector<float> x = testing::normals(g, n, size);
            std::vector<std::int8_t> codes(n);
            std::vector<std::uint16_t> scales(kv_blocks(n));
            kv_quantize(x.data(), n, codes.data(), scales.data());
            for (std::size_t b = 0; b < scales.size(); ++b) {
                float amax = 0;
                const std::size_t end = std::min(n, (b + 1) * 32);
                for (std::size_t i = b * 32; i < end; ++i) amax = std::max(amax, std::fabs(x[i]));
                EXPECT_EQ(scales[b], f32_to_f16(amax / 127.0F));
                const float scale = f16_to_f32(scales[b]), inverse = 1.0F / scale;
                for (std::size_t i = b * 32; i < end; ++i) {
                    EXPECT_EQ(codes[i], std::clamp(std::nearbyint(x[i] * inverse), -127.0F, 127.0F));
                    // Half a step, and the bound at the ends of a scale that was rounded down; more where F16 has
                    // few digits left.
                    if (amax > 1e-2F) {
                        EXPECT_LE(std::fabs(x[i] - static_cast<float>(codes[i]) * scale), 0.57F * scale);
                    }
                }
            }
        }
}

TEST(KvPage, Q8ExtremesAreDefined) {
    const auto quantised = [](std::vector<float> x) {
        std::vector<std::int8_t> codes(x.size(), 99);
        std::uint16_t scale = 0;
        kv_quantize(x.data(), x.size(), codes.data(), &scale);
        return std::pair(codes, f16_to_f32(scale));
    };
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<std::int8_t> zeros(4, 0);
    for (const float small : {0.0F, -0.0F, 1e-40F, 1e-7F}) {
        const auto [codes, scale] = quantised({small, -small, 0.0F, small});
        EXPECT_EQ(codes, zeros);
        EXPECT_EQ(scale, 0.0F);
    }
    for (const float bad : {kInfinity, -kInfinity, kNan, 1e38F, 8.5e6F}) {
        const auto [codes, scale] = quantised({1, bad, 2, 3});
        EXPECT_EQ(codes, zeros) << bad;
        EXPECT_TRUE(std::isnan(scale)) << bad;
    }
    // The smallest scale of F16 is far from amax / 127 here: the code is held at its bound.
    const auto [codes, scale] = quantised({1.45F * 127 * 0x1p-24F, -1.45F * 127 * 0x1p-24F, 0, 0x1p-24F});
    EXPECT_EQ(scale, 0x1p-24F);
    EXPECT_EQ(codes, (std::vector<std::int8_t>{127, -127, 0, 1}));
    // Ties go to the even code.
    EXPECT_EQ(quantised({127, 0.5F, 1.5F, -2.5F}).first, (std::vector<std::int8_t>{127, 0, 2, -2}));
}

TEST(KvPage, GivesBackWhatWasStored) {
    Generator g(2);
    for (const KvType type : {KvType::F32, KvType::F16, KvType::Q8_0})
        for (const std::size_t dim : {std::size_t{1}, std::size_t{20}, std::size_t{64}, std::size_t{80}}) {
            // One number beyond K and V, which nobody may touch.
            const std::size_t bytes = kv_side_bytes(type, dim);
            std::vector<std::byte> k(bytes + 1, std::byte{0x5A}), v(bytes + 1, std::byte{0x5A});
            const std::vector<float> x = testing::normals(g, 16 * dim);
            for (const std::size_t slot : {3, 0, 15, 7, 8, 1, 2, 4, 5, 6, 9, 10, 11, 12, 13, 14}) {
                kv_store_key(active_kernels(), type, x.data() + slot * dim, dim, slot, k.data());
                kv_store_value(active_kernels(), type, x.data() + slot * dim, dim, slot, v.data());
            }
            EXPECT_EQ(k[bytes], std::byte{0x5A});
            EXPECT_EQ(v[bytes], std::byte{0x5A});
            for (std::size_t slot = 0; slot < 16; ++slot) {
                std::vector<std::int8_t> codes(dim);
                std::vector<std::uint16_t> scales(kv_blocks(dim));
                kv_quantize(x.data() + slot * dim, dim, codes.data(), scales.data());
                for (std::size_t d = 0; d < dim; ++d) {
                    const float raw = x[slot * dim + d];
                    const float want = type == KvType::F32 ? raw
                                       : type == KvType::F16
                                           ? f16_to_f32(f32_to_f16(raw))
                                           : static_cast<float>(codes[d]) * f16_to_f32(scales[d / 32]);
                    ASSERT_EQ(kv_key(type, k.data(), dim, slot, d), want);
                    ASSERT_EQ(kv_value(type, v.data(), dim, slot, d), want);
                }
            }
        }
}

}  // namespace
}  // namespace freehold
