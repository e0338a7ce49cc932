// Every number format of this build against vectors that PyPI `gguf` made, bit for bit, and against its own code form.
// Runs over all_traits(), so a new format without a vector is red.
#include <gtest/gtest.h>

#include <algorithm>
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
    ASSERT_GE(all_traits().size(), 21U);
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

// What the int8 kernels make of value i of a block: integers and two floats, exact in double.
double weight_of(const QuantForm& form, const CodeBlock& b, std::size_t i) {
    const int value = form.table != nullptr ? form.table[b.code[i]] : b.code[i];
    EXPECT_LE(value, form.max_code);
    EXPECT_LT(b.code[i], 1 << form.bits);
    const double min = form.has_min ? static_cast<double>(b.min) * b.min_code * b.half_min[i / 16] : 0;
    return static_cast<double>(b.scale) * b.scale_code * b.half[i / 16] * (value - form.zero) + min;
}

// Panels keep only what the form announces.
void expect_announced(const QuantForm& form, const CodeBlock& b) {
    if (!form.has_min) {
        ASSERT_EQ(b.min, 0.0F);
    }
    if (!form.has_half) {
        ASSERT_EQ(b.half[0], 1);
        ASSERT_EQ(b.half[1], 1);
    }
    if (!form.has_half_min) {
        ASSERT_EQ(b.half_min[0], 1);
        ASSERT_EQ(b.half_min[1], 1);
    }
    if (form.scales != ScaleForm::super) {
        ASSERT_EQ(b.scale_code, 1);
        ASSERT_EQ(b.min_code, 1);
    }
    if (form.scales != ScaleForm::f32 && std::isfinite(b.scale) && std::isfinite(b.min)) {
        ASSERT_EQ(f16_to_f32(f32_to_f16(b.scale)), b.scale);
        ASSERT_EQ(f16_to_f32(f32_to_f16(b.min)), b.min);
    }
    // The sum over a block with activations of +-127 is exact as F32: products of codes and halves stay below 2^24.
    int most[2] = {0, 0};
    for (std::size_t i = 0; i < 32; ++i) {
        const int value = form.table != nullptr ? form.table[b.code[i]] : b.code[i];
        most[i / 16] += 127 * std::abs(value - form.zero);
    }
    ASSERT_LT(std::abs(b.half[0]) * most[0] + std::abs(b.half[1]) * most[1], 1 << 24);
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
            if (i % 32 == 0) expect_announced(t->form, b);
            ASSERT_EQ(static_cast<float>(weight_of(t->form, b, i % 32)), v.values[i]) << "value " << i;
            if (i % 256 == 0) continue;
            if (t->form.scales == ScaleForm::super) {
                ASSERT_EQ(b.scale, blocks[i / 256 * 8].scale);
                ASSERT_EQ(b.min, blocks[i / 256 * 8].min);
            }
        }
    }
}

// Any bytes are numbers: whatever a damaged file holds, both expansions read it alike and touch nothing else.
TEST(Codecs, AnyBytesAreReadAlike) {
    std::uint64_t state = 11;
    const auto random_byte = [&state] {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::byte>(state >> 56);
    };
    for (const DTypeTraits* t : all_traits()) {
        SCOPED_TRACE(std::string(t->name));
        for (int round = 0; round < 200; ++round) {
            const std::size_t n = 512;
            std::vector<std::byte> held(1 + n / t->block * t->bytes);  // one byte in: no alignment is promised
            for (std::byte& b : held) b = random_byte();
            const std::byte* bytes = held.data() + 1;
            std::vector<float> values(n);
            t->to_f32(bytes, values.data(), n);
            if (!t->quantised) continue;
            std::vector<CodeBlock> blocks(n / 32);
            t->to_codes(bytes, blocks.data(), n);
            for (std::size_t i = 0; i < n; ++i) {
                const double exact = weight_of(t->form, blocks[i / 32], i % 32);
                if (i % 32 == 0) expect_announced(t->form, blocks[i / 32]);
                if (std::isnan(exact)) {
                    ASSERT_TRUE(std::isnan(values[i])) << "value " << i;
                } else {
                    ASSERT_EQ(static_cast<float>(exact), values[i]) << "value " << i;
                }
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
        const int bits = t->form.bits;
        EXPECT_TRUE((bits >= 2 && bits <= 6) || bits == 8);
        if (t->form.table != nullptr) {
            EXPECT_EQ(bits, 4);
            EXPECT_LE(*std::max_element(t->form.table, t->form.table + 16), t->form.max_code);
        } else {
            EXPECT_LT(t->form.max_code, 1 << bits);
        }
        if (t->form.has_half_min) {
            EXPECT_TRUE(t->form.has_half && t->form.has_min);
        }
    }
}

TEST(Codecs, EncodersOfFloatsReturnWhatTheyRead) {
    for (const DTypeTraits* t : all_traits()) {
        if (t->from_f32 == nullptr || t->quantised) continue;  // quantisers: quantise_test.cpp
        SCOPED_TRACE(std::string(t->name));
        const Vector v = load(t->name);
        std::vector<std::byte> again(v.blocks.size());
        t->from_f32(v.values.data(), again.data(), v.values.size());
        EXPECT_EQ(again, v.blocks);
    }
}

TEST(Dtype, NamesOfFormatsWithoutCodec) {
    EXPECT_EQ(dtype_name(DType::IQ1_M), "IQ1_M");
    EXPECT_EQ(dtype_name(static_cast<DType>(77)), "type 77");
    EXPECT_EQ(find_traits(DType::IQ1_M), nullptr);
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
