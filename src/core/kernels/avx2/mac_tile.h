// What AVX2 offers to the tiles of vectors/: eight lanes, sixteen registers, so tiles of six rows.
#pragma once

#include "lanes.h"
#include "vectors/mac_tile.h"

namespace freehold::avx2 {

struct LoadF32 {
    using Element = float;
    [[gnu::always_inline]] static __m256 lanes(const float* p) noexcept { return _mm256_loadu_ps(p); }
};

struct LoadF16 {
    using Element = std::uint16_t;
    [[gnu::always_inline]] static __m256 lanes(const std::uint16_t* p) noexcept {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
};

// Codes of keys or values in Q8_0; they count times a scale, which whoever loads them brings along.
struct LoadQ8 {
    using Element = std::int8_t;
    [[gnu::always_inline]] static __m256 lanes(const std::int8_t* p) noexcept {
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
    }
};

inline constexpr int kTileRows = 6;

struct Isa {
    using Vec = __m256;
    using Lane = F8;
    static constexpr int kLanes = 8;
    static constexpr int kTileRows = avx2::kTileRows;
    // Panels side by side for R rows: enough chains to hide latency, few enough to stay in registers.
    template <int R>
    static constexpr int kWide = R == 1 ? 4 : (R <= 3 ? 2 : 1);
    // Twelve sums, three values of x and one of w are the sixteen registers.
    template <int R, int W>
    static constexpr bool kOneLoad = R == 3 && W == 2;

    [[gnu::always_inline]] static Vec zero() noexcept { return _mm256_setzero_ps(); }
    [[gnu::always_inline]] static Vec set(float x) noexcept { return _mm256_set1_ps(x); }
    [[gnu::always_inline]] static Vec load(const float* p) noexcept { return _mm256_loadu_ps(p); }
    [[gnu::always_inline]] static void store(float* p, Vec x) noexcept { _mm256_storeu_ps(p, x); }
    [[gnu::always_inline]] static Vec add(Vec a, Vec b) noexcept { return _mm256_add_ps(a, b); }
    [[gnu::always_inline]] static Vec mul(Vec a, Vec b) noexcept { return _mm256_mul_ps(a, b); }
    [[gnu::always_inline]] static Vec fma(Vec a, Vec b, Vec c) noexcept { return _mm256_fmadd_ps(a, b, c); }
    [[gnu::always_inline]] static Vec max(Vec a, Vec b) noexcept { return _mm256_max_ps(a, b); }
    [[gnu::always_inline]] static float half(std::uint16_t h) noexcept { return _cvtsh_ss(h); }
    // x in lanes whose number, counted from lane0, is over low and under high; `no` elsewhere.
    [[gnu::always_inline]] static Vec between(Vec x, int lane0, int low, int high, Vec no) noexcept {
        const __m256i key = _mm256_add_epi32(_mm256_set1_epi32(lane0), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        const __m256i seen = _mm256_and_si256(_mm256_cmpgt_epi32(key, _mm256_set1_epi32(low)),
                                              _mm256_cmpgt_epi32(_mm256_set1_epi32(high), key));
        return _mm256_blendv_ps(no, x, _mm256_castsi256_ps(seen));
    }
    [[gnu::always_inline]] static float sum16(const Vec (&lanes)[2]) noexcept { return tree16(lanes[0], lanes[1]); }
    [[gnu::always_inline]] static float largest(Vec x) noexcept { return avx2::largest(x); }
};

}  // namespace freehold::avx2
