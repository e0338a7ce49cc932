// Every number format of this build against vectors that PyPI `gguf` made, bit for bit, and against its own code form.
// Runs over all_traits(), so a new format without a vector is red.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/tensor/dtype.h"

namespace freehold {
namespace {

struct Vector {
    std::vector<std::byte> blocks;
    std::vector<float> values;
};

Vector load(std::string_view name) {
    const char* other = std::getenv("FREEHOLD_DTYPE_VECTORS");
    const std::string folder = other != nullptr ? other : std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/dtype";
    std::ifstream in(folder + "/" + std::string(name) + ".bin", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    Vector v;
    if (bytes.size() < 12 || bytes.compare(0, 4, "FHDT") != 0) return v;
    std::uint32_t sizes[2];
    std::memcpy(sizes, bytes.data() + 4, 8);
    if (bytes.size() != 12 + sizes[0] + std::size_t{4} * sizes[1]) return v;
    v.blocks.resize(sizes[0]);
    v.values.resize(sizes[1]);
    std::memcpy(v.blocks.data(), bytes.data() + 12, sizes[0]);
    std::memcpy(v.values.data(), bytes.data() + 12 + sizes[0], std::size_t{4} * sizes[1]);
    return v;
}

TEST(Codecs, ExpandAsTheReferenceDoes) {
    ASSERT_GE(all_traits().size(), 11U);
    for (const DTypeTraits* t : all_traits()) {
        SCOPED_TRACE(std::string(t->name));
        const Vector v = load(t->name);
        ASSERT_FALSE(v.values.empty()) << "no vector: run tests/oracle/make_dtype_vectors.py";
        ASSERT_EQ(v.blocks.size(), v.values.size() / t->block * t->bytes);
        std::vector<float> got(v.values.size());
        t->to_f32(v.blocks.data(), got.data(), got.size());
        for (std::size_t i = 0; i < got.size(); ++i)
            ASSERT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(v.values[i]))
                << "value " << i << ": " << got[i] << " instead of " << v.values[i];
    }
}

TEST(Codecs, CodeFormIsTheSameNumber) {
    for (const DTypeTraits* t : all_traits()) {
        if (!t->quantised) continue;
        SCOPED_TRACE(std::string(t->name));
        const Vector v = load(t->name);
        std::vector<CodeBlock> blocks(v.values.size() / 32);
        t->to_codes(v.blocks.data(), blocks.data(), v.values.size());
        for (std::size_t i = 0; i < v.values.size(); ++i) {
            const CodeBlock& b = blocks[i / 32];
            const QuantForm& f = t->form;
            const std::size_t h = i % 32 / 16;
            const int value = f.table != nullptr ? f.table[b.code[i % 32]] : b.code[i % 32];
            ASSERT_LE(value, f.max_code);
            ASSERT_LT(b.code[i % 32], f.bits == 8 ? 256 : 1 << f.bits);
            if (!f.has_min) {
                ASSERT_EQ(b.min, 0.0F);
            }
            if (!f.has_half) {
                ASSERT_EQ(b.half[0], 1);
                ASSERT_EQ(b.half[1], 1);
            }
            if (!f.has_half_min) {
                ASSERT_EQ(b.half_min[0], 1);
            }
            const double exact = static_cast<double>(b.block_scale()) * b.half[h] * (value - f.zero) +
                                 static_cast<double>(b.block_min()) * b.half_min[h];
            ASSERT_EQ(static_cast<float>(exact), v.values[i]) << "value " << i;
            if (f.scales != ScaleForm::f32) {
                ASSERT_EQ(f16_to_f32(f32_to_f16(b.scale)), b.scale);
                ASSERT_EQ(f16_to_f32(f32_to_f16(b.min)), b.min);
            }
            const CodeBlock& first = blocks[i / 256 * 8];
            if (f.scales == ScaleForm::super) {
                ASSERT_EQ(b.scale, first.scale);
                ASSERT_EQ(b.min, first.min);
            } else {
                ASSERT_EQ(b.scale_code, 1);
                ASSERT_EQ(b.min_code, 1);
            }
            if (f.has_half) {
                ASSERT_EQ(b.scale_code, 1);
            }
        }
    }
}

TEST(Codecs, TraitsKeepWhatPanelsRelyOn) {
    for (const DTypeTraits* t : all_traits()) {
        SCOPED_TRACE(std::string(t->name));
        EXPECT_EQ(256U % t->block, 0U) << "weights are repacked 256 columns at a time";
        EXPECT_EQ(dtype_name(t->id), t->name);
        EXPECT_EQ(dtype_from_name(t->name), t->id);
        EXPECT_EQ(find_traits(t->id), t);
        if (!t->quantised) continue;
        EXPECT_EQ(t->block % 32, 0U);
        const QuantForm& f = t->form;
        EXPECT_TRUE((f.bits >= 2 && f.bits <= 6) || f.bits == 8);
        if (f.table == nullptr && f.bits != 8) {
            EXPECT_LT(f.max_code, 1 << f.bits);
        }
        if (f.scales == ScaleForm::super) {
            EXPECT_EQ(t->block % 256, 0U) << "eight blocks share a header";
        }
    }
}

TEST(Codecs, EncodersRoundAndReturn) {
    for (const DTypeTraits* t : all_traits()) {
        if (t->from_f32 == nullptr) continue;
        SCOPED_TRACE(std::string(t->name));
        const Vector v = load(t->name);
        if (!t->quantised) {  // a value of the format comes back as it is
            std::vector<std::byte> again(v.blocks.size());
            t->from_f32(v.values.data(), again.data(), v.values.size());
            EXPECT_EQ(again, v.blocks);
            continue;
        }
        std::vector<float> x(256), back(256);
        for (int i = 0; i < 256; ++i) x[static_cast<std::size_t>(i)] = std::sin(static_cast<float>(i) * 1.7F);
        std::vector<std::byte> bytes(256 / t->block * t->bytes);
        t->from_f32(x.data(), bytes.data(), x.size());
        t->to_f32(bytes.data(), back.data(), back.size());
        for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 1.0F / 127);
    }
}

TEST(Dtype, NamesOfFormatsWithoutCodec) {
    EXPECT_EQ(dtype_name(DType::IQ2_XXS), "IQ2_XXS");
    EXPECT_EQ(dtype_name(static_cast<DType>(77)), "type 77");
    EXPECT_EQ(find_traits(DType::Q2_K), nullptr);
    EXPECT_FALSE(dtype_from_name("Q9_9").has_value());
    try {
        (void)traits(DType::IQ1_S);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unsupported);
        EXPECT_NE(e.message().find("IQ1_S"), std::string::npos);
        EXPECT_NE(e.hint().find("Q4_K"), std::string::npos);
    }
}

// The hardware's conversion is the reference where there is one; here every half is tried, and rounding at every
// border.
TEST(Halves, EveryHalfSurvivesAndBordersRoundToEven) {
    for (std::uint32_t h = 0; h < 0x10000; ++h) {
        const float f = f16_to_f32(static_cast<std::uint16_t>(h));
        if ((h & 0x7C00U) == 0x7C00U && (h & 0x3FFU) != 0) {
            EXPECT_TRUE(std::isnan(f));
            continue;
        }
        ASSERT_EQ(f32_to_f16(f), h);
        if ((h & 0x7FFFU) >= 0x7BFFU) continue;
        const float next = f16_to_f32(static_cast<std::uint16_t>(h + 1));
        const float middle = (f + next) / 2;  // exact
        ASSERT_EQ(f32_to_f16(middle), h % 2 == 0 ? h : h + 1);
        ASSERT_EQ(f32_to_f16(std::nextafter(middle, f)), h);
        ASSERT_EQ(f32_to_f16(std::nextafter(middle, next)), h + 1);
    }
    EXPECT_EQ(f32_to_f16(65519.0F), 0x7BFF);
    EXPECT_EQ(f32_to_f16(65520.0F), 0x7C00);
    EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808000U)), 0x3F80);
    EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F818000U)), 0x3F82);
    EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7F7FFFFFU)), 0x7F80);
}

}  // namespace
}  // namespace freehold
