// BF16 panels by the chip's own dots (vdpbf16ps): tiles of up to twelve rows, one instruction a row and pair.
// The instruction adds the odd product first, then the even one, and flushes denormals: rule 2 of docs/numerics.md.
#include "dots.h"
#include "mac_tile.h"
#include "table.h"

namespace freehold::avx512 {
namespace {

template <int R>
void tile(const std::uint16_t* x, std::size_t ldx, const std::uint16_t* panel, std::size_t K, float* y, std::size_t ldy,
          __mmask16 lanes) noexcept {
    __m512 acc[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
    for (std::size_t k = 0; k < K; k += 2, panel += 2 * kPanelRows) {
        if constexpr (R <= 2) prefetch(panel, 4096);  // few rows wait for memory, and panels follow each other
        const __m512i w = load(panel);
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) add_dot2(acc[r], w, x + static_cast<std::size_t>(r) * ldx + k);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) _mm512_mask_storeu_ps(y + static_cast<std::size_t>(r) * ldy, lanes, acc[r]);
}

}  // namespace

void panel_bf16_dots(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                     float* y, std::size_t ldy, int n_valid) {
    const __mmask16 lanes = first_lanes(static_cast<std::size_t>(n_valid));
    in_tiles(T, [&]<int R>(std::size_t t) { tile<R>(x + t * ldx, ldx, panel, K, y + t * ldy, ldy, lanes); });
}

}  // namespace freehold::avx512
