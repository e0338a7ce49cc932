// The float micro-kernel: R rows of broadcast values times rows of 16 lanes, 2R accumulators in registers.
// Serves F32 products (lanes are outputs), scores (lanes are keys) and values (lanes are dimensions).
#pragma once

#include "lanes.h"

namespace freehold::avx2 {

struct LoadF32 {
    using Element = float;
    [[gnu::always_inline]] static __m256 eight(const float* p) noexcept { return _mm256_loadu_ps(p); }
};

struct LoadF16 {
    using Element = std::uint16_t;
    [[gnu::always_inline]] static __m256 eight(const std::uint16_t* p) noexcept {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
};

// Codes of keys or values in Q8_0; they count times a scale, which whoever loads them brings along.
struct LoadQ8 {
    using Element = std::int8_t;
    [[gnu::always_inline]] static __m256 eight(const std::int8_t* p) noexcept {
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
    }
};

inline constexpr int kTileRows = 6;

// acc[r][2w + .] = fma(x[r*ldx + k*x_step], panels[w][k*stride + .], acc[r][2w + .]), k ascending: W panels side by
// side, so that few rows have chains enough to hide the latency of fma (R * W * 2 should be 8 to 12). With scales each
// element is multiplied by scales[2w + .] first; a code of Q8_0 times its scale is exact.
template <class Load, int R, int W>
[[gnu::always_inline]] inline void mac_tile(const float* x, std::size_t ldx, std::size_t x_step,
                                            const typename Load::Element* const (&panels)[W], std::size_t stride,
                                            std::size_t K, __m256 (&acc)[R][2 * W],
                                            const __m256* scales = nullptr) noexcept {
    for (std::size_t k = 0; k < K; ++k, x += x_step) {
        if constexpr (R == 3 && W == 2) {
            // Twelve sums, three values of x and one of w at a time are the sixteen registers; the order below spills.
            const __m256 b[3] = {_mm256_broadcast_ss(x), _mm256_broadcast_ss(x + ldx),
                                 _mm256_broadcast_ss(x + 2 * ldx)};
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) {
                __m256 w = Load::eight(panels[i / 2] + k * stride + 8 * (i % 2));
                if (scales != nullptr) w = _mm256_mul_ps(w, scales[i]);
#pragma GCC unroll 3
                for (int r = 0; r < 3; ++r) acc[r][i] = _mm256_fmadd_ps(b[r], w, acc[r][i]);
            }
            continue;
        }
        __m256 w[2 * W];
#pragma GCC unroll 4
        for (int i = 0; i < W; ++i) {
            w[2 * i] = Load::eight(panels[i] + k * stride);
            w[2 * i + 1] = Load::eight(panels[i] + k * stride + 8);
            if (scales == nullptr) continue;
            w[2 * i] = _mm256_mul_ps(w[2 * i], scales[2 * i]);
            w[2 * i + 1] = _mm256_mul_ps(w[2 * i + 1], scales[2 * i + 1]);
        }
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
            const __m256 b = _mm256_broadcast_ss(x + static_cast<std::size_t>(r) * ldx);
#pragma GCC unroll 8
            for (int i = 0; i < 2 * W; ++i) acc[r][i] = _mm256_fmadd_ps(b, w[i], acc[r][i]);
        }
    }
}

template <int R, int N>
[[gnu::always_inline]] inline void clear(__m256 (&acc)[R][N]) noexcept {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) acc[r][i] = _mm256_setzero_ps();
}

template <int R, int N>
[[gnu::always_inline]] inline void load_tile(const float* from, std::size_t ld, __m256 (&acc)[R][N]) noexcept {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) acc[r][i] = _mm256_loadu_ps(from + static_cast<std::size_t>(r) * ld + 8 * i);
}

template <int R, int N>
[[gnu::always_inline]] inline void store_tile(float* to, std::size_t ld, const __m256 (&acc)[R][N]) noexcept {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) _mm256_storeu_ps(to + static_cast<std::size_t>(r) * ld + 8 * i, acc[r][i]);
}

}  // namespace freehold::avx2
