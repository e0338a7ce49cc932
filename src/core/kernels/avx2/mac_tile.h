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

inline constexpr int kTileRows = 6;

// acc[r][.] = fma(x[r*ldx + k*x_step], panel[k*stride + .], acc[r][.]), k ascending.
template <class Load, int R>
[[gnu::always_inline]] inline void mac_tile(const float* x, std::size_t ldx, std::size_t x_step,
                                            const typename Load::Element* panel, std::size_t stride, std::size_t K,
                                            __m256 (&acc)[R][2]) noexcept {
    for (std::size_t k = 0; k < K; ++k, x += x_step, panel += stride) {
        const __m256 w0 = Load::eight(panel), w1 = Load::eight(panel + 8);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
            const __m256 b = _mm256_broadcast_ss(x + static_cast<std::size_t>(r) * ldx);
            acc[r][0] = _mm256_fmadd_ps(b, w0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(b, w1, acc[r][1]);
        }
    }
}

}  // namespace freehold::avx2
