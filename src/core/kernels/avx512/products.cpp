// F32 panels, and BF16 panels on chips without BF16 dots: tiles of up to twelve rows and sixteen outputs.
// Chains run over k in ascending order in every tile, so tile heights cannot change a bit.
#include "mac_tile.h"
#include "table.h"

namespace freehold::avx512 {
namespace {

// Lanes past the end of a matrix that is read as it lies are neither read nor written.
template <int R>
void edge_tile(const float* x, std::size_t ldx, std::size_t x_step, const float* panel, std::size_t stride,
               std::size_t K, float* y, std::size_t ldy, __mmask16 lanes, bool accumulate) noexcept {
    __m512 acc[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
        acc[r] = accumulate ? _mm512_maskz_loadu_ps(lanes, y + static_cast<std::size_t>(r) * ldy) : _mm512_setzero_ps();
    for (std::size_t k = 0; k < K; ++k) {
        const __m512 w = _mm512_maskz_loadu_ps(lanes, panel + k * stride);
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r)
            acc[r] = _mm512_fmadd_ps(_mm512_set1_ps(x[static_cast<std::size_t>(r) * ldx + k * x_step]), w, acc[r]);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) _mm512_mask_storeu_ps(y + static_cast<std::size_t>(r) * ldy, lanes, acc[r]);
}

// A function of its own: nothing of it may move out from under the changed environment.
template <int R>
[[gnu::noinline]] void tile_bf16(const std::uint16_t* x, std::size_t ldx, const std::uint16_t* panel, std::size_t K,
                                 float* y, std::size_t ldy, __mmask16 lanes) noexcept {
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000U));
    __m512 acc[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
    for (std::size_t k = 0; k < K; k += 2, panel += 2 * kPanelRows) {
        if constexpr (R == 1) prefetch(panel, 4096);  // one row waits for memory, and panels follow each other
        const __m512i w = load(panel);
        const __m512 w_odd = _mm512_castsi512_ps(_mm512_and_si512(w, upper));
        const __m512 w_even = _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
            int pair;
            __builtin_memcpy(&pair, x + static_cast<std::size_t>(r) * ldx + k, sizeof pair);
            const __m512i b = _mm512_set1_epi32(pair);
            acc[r] = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(b, upper)), w_odd, acc[r]);
            acc[r] = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(b, 16)), w_even, acc[r]);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) _mm512_mask_storeu_ps(y + static_cast<std::size_t>(r) * ldy, lanes, acc[r]);
}

}  // namespace

void panel_f32(const float* x, std::size_t ldx, std::size_t x_step, std::size_t T, const float* panel,
               std::size_t panel_stride, std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate) {
    if (n_valid == kPanelRows)
        return in_tiles(T, [&]<int R>(std::size_t t) {
            vectors::full_tile<Isa, LoadF32, R>(x + t * ldx, ldx, x_step, panel, panel_stride, K, y + t * ldy, ldy,
                                                accumulate);
        });
    const __mmask16 lanes = first_lanes(static_cast<std::size_t>(n_valid));
    in_tiles(T, [&]<int R>(std::size_t t) {
        edge_tile<R>(x + t * ldx, ldx, x_step, panel, panel_stride, K, y + t * ldy, ldy, lanes, accumulate);
    });
}

void panel_bf16(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                float* y, std::size_t ldy, int n_valid) {
    // The hardware's BF16 dot flushes denormals of inputs and results, so this kernel alone does as well.
    const unsigned environment = _mm_getcsr();
    _mm_setcsr(environment | 0x8040U);
    const __mmask16 lanes = first_lanes(static_cast<std::size_t>(n_valid));
    in_tiles(T, [&]<int R>(std::size_t t) { tile_bf16<R>(x + t * ldx, ldx, panel, K, y + t * ldy, ldy, lanes); });
    _mm_setcsr(environment);
}

}  // namespace freehold::avx512
