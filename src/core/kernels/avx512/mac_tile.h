// What AVX-512 offers to the tiles of vectors/: sixteen lanes, thirty-two registers, so tiles of twelve rows.
#pragma once

#include "lanes.h"
#include "vectors/mac_tile.h"

namespace freehold::avx512 {

struct LoadF32 {
    using Element = float;
    [[gnu::always_inline]] static __m512 lanes(const float* p) noexcept { return _mm512_loadu_ps(p); }
};

struct LoadF16 {
    using Element = std::uint16_t;
    [[gnu::always_inline]] static __m512 lanes(const std::uint16_t* p) noexcept {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
};

// Codes of keys or values in Q8_0; they count times a scale, which whoever loads them brings along.
struct LoadQ8 {
    using Element = std::int8_t;
    [[gnu::always_inline]] static __m512 lanes(const std::int8_t* p) noexcept {
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
    }
};

inline constexpr int kTileRows = 12;

// Rows in tiles: calls f with a tile's rows as a constant and its first row, largest tiles first. Tile heights cannot
// change a bit, because every row is a chain of its own.
template <class F>
[[gnu::always_inline]] inline void in_tiles(std::size_t rows, F&& f) {
    std::size_t r = 0;
    for (; r + 12 <= rows; r += 12) f.template operator()<12>(r);
    if (r + 8 <= rows) {
        f.template operator()<8>(r);
        r += 8;
    }
    switch (rows - r) {
        case 1:
            return f.template operator()<1>(r);
        case 2:
            return f.template operator()<2>(r);
        case 3:
            return f.template operator()<3>(r);
        case 4:
            return f.template operator()<4>(r);
        case 5:
            f.template operator()<4>(r);
            return f.template operator()<1>(r + 4);
        case 6:
            return f.template operator()<6>(r);
        case 7:
            f.template operator()<4>(r);
            return f.template operator()<3>(r + 4);
        default:
            return;
    }
}

struct Isa {
    using Vec = __m512;
    using Lane = L16;
    static constexpr int kLanes = 16;
    static constexpr int kTileRows = avx512::kTileRows;
    // Panels side by side for R rows: enough chains to hide latency, few enough to stay in registers.
    template <int R>
    static constexpr int kWide = R <= 3 ? 4 : (R <= 6 ? 2 : 1);
    template <int R, int W>
    static constexpr bool kOneLoad = false;

    [[gnu::always_inline]] static Vec zero() noexcept { return _mm512_setzero_ps(); }
    [[gnu::always_inline]] static Vec set(float x) noexcept { return _mm512_set1_ps(x); }
    [[gnu::always_inline]] static Vec load(const float* p) noexcept { return _mm512_loadu_ps(p); }
    [[gnu::always_inline]] static void store(float* p, Vec x) noexcept { _mm512_storeu_ps(p, x); }
    [[gnu::always_inline]] static Vec add(Vec a, Vec b) noexcept { return _mm512_add_ps(a, b); }
    [[gnu::always_inline]] static Vec mul(Vec a, Vec b) noexcept { return _mm512_mul_ps(a, b); }
    [[gnu::always_inline]] static Vec fma(Vec a, Vec b, Vec c) noexcept { return _mm512_fmadd_ps(a, b, c); }
    [[gnu::always_inline]] static Vec max(Vec a, Vec b) noexcept { return _mm512_max_ps(a, b); }
    [[gnu::always_inline]] static float half(std::uint16_t h) noexcept { return _cvtsh_ss(h); }
    // x in lanes whose number, counted from lane0, is over low and under high; `no` elsewhere.
    [[gnu::always_inline]] static Vec between(Vec x, int lane0, int low, int high, Vec no) noexcept {
        const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i key = _mm512_add_epi32(lane, _mm512_set1_epi32(lane0));
        const auto seen = static_cast<__mmask16>(_mm512_cmpgt_epi32_mask(key, _mm512_set1_epi32(low)) &
                                                 _mm512_cmpgt_epi32_mask(_mm512_set1_epi32(high), key));
        return _mm512_mask_mov_ps(no, seen, x);
    }
    [[gnu::always_inline]] static float sum16(const Vec (&lanes)[1]) noexcept { return tree16(lanes[0]); }
    [[gnu::always_inline]] static float largest(Vec x) noexcept { return avx512::largest(x); }
};

}  // namespace freehold::avx512
