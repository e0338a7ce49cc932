// F32 and BF16 panels times rows: tiles of six rows and sixteen outputs, twelve chains in flight.
// Chains run over k in ascending order in every tile, so tile heights cannot change a bit.
#include "mac_tile.h"
#include "table.h"

namespace freehold::avx2 {
namespace {

// The last panel of a matrix that is read as it lies: lanes past the end are neither read nor written.
template <int R>
void edge_tile(const float* x, std::size_t ldx, std::size_t x_step, const float* panel, std::size_t stride,
               std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate) noexcept {
    const __m256i m0 = first_lanes(n_valid), m1 = first_lanes(n_valid - 8);
    __m256 acc[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
        float* row = y + static_cast<std::size_t>(r) * ldy;
        acc[r][0] = accumulate ? _mm256_maskload_ps(row, m0) : _mm256_setzero_ps();
        acc[r][1] = accumulate ? _mm256_maskload_ps(row + 8, m1) : _mm256_setzero_ps();
    }
    for (std::size_t k = 0; k < K; ++k) {
        const __m256 w0 = _mm256_maskload_ps(panel + k * stride, m0),
                     w1 = _mm256_maskload_ps(panel + k * stride + 8, m1);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
            const __m256 b = _mm256_broadcast_ss(x + static_cast<std::size_t>(r) * ldx + k * x_step);
            acc[r][0] = _mm256_fmadd_ps(b, w0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(b, w1, acc[r][1]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
        float* row = y + static_cast<std::size_t>(r) * ldy;
        _mm256_maskstore_ps(row, m0, acc[r][0]);
        _mm256_maskstore_ps(row + 8, m1, acc[r][1]);
    }
}

template <int R>
void tile_bf16(const std::uint16_t* x, std::size_t ldx, const std::uint16_t* panel, std::size_t K, float* y,
               std::size_t ldy, int n_valid) noexcept {
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000U));
    __m256 acc[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    for (std::size_t k = 0; k < K; k += 2, panel += 2 * kPanelRows) {
        if constexpr (R == 1) prefetch(panel, 4096);  // one row waits for memory, and panels follow each other
        const __m256i w0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel));
        const __m256i w1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + 16));
        const __m256 odd0 = _mm256_castsi256_ps(_mm256_and_si256(w0, upper));
        const __m256 odd1 = _mm256_castsi256_ps(_mm256_and_si256(w1, upper));
        const __m256 even0 = _mm256_castsi256_ps(_mm256_slli_epi32(w0, 16));
        const __m256 even1 = _mm256_castsi256_ps(_mm256_slli_epi32(w1, 16));
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            int pair;
            __builtin_memcpy(&pair, x + static_cast<std::size_t>(r) * ldx + k, sizeof pair);
            const __m256i b = _mm256_set1_epi32(pair);
            const __m256 odd = _mm256_castsi256_ps(_mm256_and_si256(b, upper));
            const __m256 even = _mm256_castsi256_ps(_mm256_slli_epi32(b, 16));
            acc[r][0] = _mm256_fmadd_ps(odd, odd0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(odd, odd1, acc[r][1]);
            acc[r][0] = _mm256_fmadd_ps(even, even0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(even, even1, acc[r][1]);
        }
    }
    const __m256i m0 = first_lanes(n_valid), m1 = first_lanes(n_valid - 8);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
        _mm256_maskstore_ps(y + static_cast<std::size_t>(r) * ldy, m0, acc[r][0]);
        _mm256_maskstore_ps(y + static_cast<std::size_t>(r) * ldy + 8, m1, acc[r][1]);
    }
}

// Pairs of a panel as rows of 16 floats, the odd element's row first: the order in which they are added.
void widen(const std::uint16_t* panel, std::size_t pairs, float* out) noexcept {
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000U));
    for (std::size_t i = 0; i < pairs; ++i, panel += 2 * kPanelRows, out += 2 * kPanelRows) {
        const __m256i w0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel));
        const __m256i w1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + 16));
        _mm256_store_ps(out, _mm256_castsi256_ps(_mm256_and_si256(w0, upper)));
        _mm256_store_ps(out + 8, _mm256_castsi256_ps(_mm256_and_si256(w1, upper)));
        _mm256_store_ps(out + 16, _mm256_castsi256_ps(_mm256_slli_epi32(w0, 16)));
        _mm256_store_ps(out + 24, _mm256_castsi256_ps(_mm256_slli_epi32(w1, 16)));
    }
}

}  // namespace

void panel_f32(const float* x, std::size_t ldx, std::size_t x_step, std::size_t T, const float* panel,
               std::size_t panel_stride, std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate) {
    vectors::in_tiles_of_six(T, [&]<int R>(std::size_t t) {
        if (n_valid == kPanelRows)
            vectors::full_tile<Isa, LoadF32, R>(x + t * ldx, ldx, x_step, panel, panel_stride, K, y + t * ldy, ldy,
                                                accumulate);
        else
            edge_tile<R>(x + t * ldx, ldx, x_step, panel, panel_stride, K, y + t * ldy, ldy, n_valid, accumulate);
    });
}

void panel_bf16(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                float* y, std::size_t ldy, int n_valid) {
    // The hardware's BF16 dot flushes denormals of inputs and results, so this kernel alone does as well.
    const unsigned environment = _mm_getcsr();
    _mm_setcsr(environment | 0x8040U);
    std::size_t t = 0;
    for (; t + 4 <= T; t += 4) tile_bf16<4>(x + t * ldx, ldx, panel, K, y + t * ldy, ldy, n_valid);
    x += t * ldx;
    y += t * ldy;
    switch (T - t) {
        case 3:
            tile_bf16<3>(x, ldx, panel, K, y, ldy, n_valid);
            break;
        case 2:
            tile_bf16<2>(x, ldx, panel, K, y, ldy, n_valid);
            break;
        case 1:
            tile_bf16<1>(x, ldx, panel, K, y, ldy, n_valid);
            break;
        default:
            break;
    }
    _mm_setcsr(environment);
}

// Taking pairs apart for every tile costs a quarter of the time, because it wants the pipes that fma wants. Here the
// rows come widened, and a stretch of the panel is widened once into the first-level cache for all of them.
void panel_bf16_wide(const float* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                     float* y, std::size_t ldy, int n_valid) {
    constexpr std::size_t kMost = 320;  // inputs of a stretch: 20 KiB of panel, and six rows of 1.25 KiB
    const unsigned environment = _mm_getcsr();
    _mm_setcsr(environment | 0x8040U);
    alignas(64) float wide[kMost * kPanelRows];
    const std::size_t stretches = (K + kMost - 1) / kMost;
    const std::size_t step = stretches < 2 ? K : (K / stretches + 1) / 2 * 2;
    std::size_t from = 0;
    do {
        const std::size_t n = K - from <= kMost ? K - from : step;
        widen(panel + from * kPanelRows, n / 2, wide);
        vectors::in_tiles_of_six(T, [&]<int R>(std::size_t t) {
            const float* rows = x + t * ldx + from;
            if (n_valid == kPanelRows)
                vectors::full_tile<Isa, LoadF32, R>(rows, ldx, 1, wide, kPanelRows, n, y + t * ldy, ldy, from != 0);
            else
                edge_tile<R>(rows, ldx, 1, wide, kPanelRows, n, y + t * ldy, ldy, n_valid, from != 0);
        });
        from += n;
    } while (from < K);
    _mm_setcsr(environment);
}

}  // namespace freehold::avx2
