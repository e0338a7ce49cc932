// What the kernel tests share: random numbers with odd values among them, and comparison bit for bit.
// Not part of the library.
#pragma once

#include <gtest/gtest.h>
#include <algorithm>

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "freehold/kernels/kernels.h"

namespace freehold::testing {

using Generator = std::mt19937;

inline float normal(Generator& g) {
    return std::normal_distribution<float>(0, 1)(g);
}
inline int uniform(Generator& g, int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(g);
}

inline std::vector<float> normals(Generator& g, std::size_t n, float scale = 1) {
    std::vector<float> v(n);
    for (float& x : v) x = normal(g) * scale;
    return v;
}

// Normal numbers with zeros, denormals and extremes strewn in.
inline std::vector<float> odd_floats(Generator& g, std::size_t n) {
    static constexpr float kOdd[] = {0.0F, -0.0F, 1e-40F, -1e-45F, 0x1p-126F, 1e-30F, -1e30F, 65504.0F, -1.0F, 3e-39F};
    std::vector<float> v = normals(g, n);
    for (float& x : v)
        if (uniform(g, 0, 7) == 0) x = kOdd[uniform(g, 0, 9)];
    return v;
}

// NaN equals NaN whatever its payload; everything else by bits.
inline bool same_bits(float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (a != a && b != b);
}

inline ::testing::AssertionResult equal_bits(std::span<const float> want, std::span<const float> got) {
    if (want.size() != got.size()) return ::testing::AssertionFailure() << "sizes differ";
    for (std::size_t i = 0; i < want.size(); ++i)
        if (!same_bits(want[i], got[i]))
            return ::testing::AssertionFailure()
                   << "at " << i << ": " << got[i] << " instead of " << want[i] << " (bits " << std::hex
                   << std::bit_cast<std::uint32_t>(got[i]) << ", " << std::bit_cast<std::uint32_t>(want[i]) << ")";
    return ::testing::AssertionSuccess();
}

// Tables to hold against the scalar reference.
inline std::vector<const Kernels*> fast_tables() {
    std::vector<const Kernels*> tables;
    for (const Kernels* k : available_kernels())
        if (k != &scalar_kernels()) tables.push_back(k);
    return tables;
}

// A buffer of q8 rows.
struct Q8Buffer {
    std::vector<std::int8_t> codes;
    std::vector<float> scale, fsum;
    std::vector<std::int32_t> sum;
    std::vector<std::int16_t> half, wide;
    Q8Rows rows;

    Q8Buffer(std::size_t T, std::size_t K) {
        const std::size_t blocks = (K + kQBlock - 1) / kQBlock;
        codes.assign(T * blocks * kQBlock, 99);
        scale.assign(T * blocks, 9);
        fsum.assign(T * blocks, 9);
        sum.assign(T * blocks, 9);
        half.assign(T * blocks * 2, 9);
        rows = {codes.data(), scale.data(), sum.data(), half.data(), fsum.data(), blocks * kQBlock};
    }
    // The rows with their codes in 16 bits as well.
    [[nodiscard]] Q8Rows widened() {
        Q8Rows both = rows;
        const std::size_t T = codes.size() / rows.padded_k;
        wide.assign(T * both.wide_ld(), 99);
        for (std::size_t t = 0; t < T; ++t)
            std::copy_n(codes.data() + t * rows.padded_k, rows.padded_k, wide.data() + t * both.wide_ld());
        both.wide = wide.data();
        return both;
    }
};

}  // namespace freehold::testing
