// The float micro-kernel: R rows of broadcast values times rows of 16 lanes, one register of accumulators each.
// Serves F32 products (lanes are outputs), scores (lanes are keys) and values (lanes are dimensions).
#pragma once

#include "lanes.h"

namespace freehold::avx512 {

struct LoadF32 {
    using Element = float;
    [[gnu::always_inline]] static __m512 sixteen(const float* p) noexcept { return _mm512_loadu_ps(p); }
};

struct LoadF16 {
    using Element = std::uint16_t;
    [[gnu::always_inline]] static __m512 sixteen(const std::uint16_t* p) noexcept {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
};

// Codes of keys or values in Q8_0; they count times a scale, which whoever loads them brings along.
struct LoadQ8 {
    using Element = std::int8_t;
    [[gnu::always_inline]] static __m512 sixteen(const std::int8_t* p) noexcept {
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
    }
};

inline constexpr int kTileRows = 12;

// acc[r][i] = fma(x[r*ldx + k*x_step], panels[i][k*stride + .], acc[r][i]), k ascending: W panels side by side, so that
// few rows have chains enough to hide the latency of fma (R * W should be 8 to 12). With scales each element is
// multiplied by scales[i] first; a code of Q8_0 times its scale is exact.
template <class Load, int R, int W>
[[gnu::always_inline]] inline void mac_tile(const float* x, std::size_t ldx, std::size_t x_step,
                                            const typename Load::Element* const (&panels)[W], std::size_t stride,
                                            std::size_t K, __m512 (&acc)[R][W],
                                            const __m512* scales = nullptr) noexcept {
    for (std::size_t k = 0; k < K; ++k, x += x_step) {
        __m512 w[W];
#pragma GCC unroll 4
        for (int i = 0; i < W; ++i) {
            w[i] = Load::sixteen(panels[i] + k * stride);
            if (scales != nullptr) w[i] = _mm512_mul_ps(w[i], scales[i]);
        }
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
            const __m512 b = _mm512_set1_ps(x[static_cast<std::size_t>(r) * ldx]);
#pragma GCC unroll 4
            for (int i = 0; i < W; ++i) acc[r][i] = _mm512_fmadd_ps(b, w[i], acc[r][i]);
        }
    }
}

template <int R, int N>
[[gnu::always_inline]] inline void clear(__m512 (&acc)[R][N]) noexcept {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int i = 0; i < N; ++i) acc[r][i] = _mm512_setzero_ps();
}

template <int R, int N>
[[gnu::always_inline]] inline void load_tile(const float* from, std::size_t ld, __m512 (&acc)[R][N]) noexcept {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int i = 0; i < N; ++i) acc[r][i] = _mm512_loadu_ps(from + static_cast<std::size_t>(r) * ld + 16 * i);
}

template <int R, int N>
[[gnu::always_inline]] inline void store_tile(float* to, std::size_t ld, const __m512 (&acc)[R][N]) noexcept {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int i = 0; i < N; ++i) _mm512_storeu_ps(to + static_cast<std::size_t>(r) * ld + 16 * i, acc[r][i]);
}

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

}  // namespace freehold::avx512
