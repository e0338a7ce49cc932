// F32 and BF16 panels times rows: tiles of six (BF16: four) rows and sixteen outputs.
// Chains run over k in ascending order in every tile, so tile heights cannot change a bit.
#include "portable/flush.h"
#include "portable/mac_tile.h"
#include "portable/table.h"
#include "scalar.h"

namespace freehold::portable {
namespace {

constexpr std::size_t kBf16Rows = 4;

// One row of the last panel of a matrix that is read as it lies: lanes past the end are neither read nor written.
void edge_row(const float* x, std::size_t x_step, const float* panel, std::size_t stride, std::size_t K, float* y,
              std::size_t n_valid, bool accumulate) noexcept {
    for (std::size_t j = 0; j < n_valid; j += kLanes) {
        const std::size_t lanes = n_valid - j < kLanes ? n_valid - j : kLanes;
        VF acc = accumulate ? load_part(y + j, lanes) : hn::Zero(DF());
        for (std::size_t k = 0; k < K; ++k)
            acc = hn::MulAdd(broadcast(x[k * x_step]), load_part(panel + k * stride + j, lanes), acc);
        store_part(acc, y + j, lanes);
    }
}

template <int R>
[[gnu::noinline]] void tile_bf16(const std::uint16_t* x, std::size_t ldx, const std::uint16_t* panel, std::size_t K,
                                 float* y, std::size_t ldy, std::size_t n_valid) noexcept {
    const VU upper = hn::Set(DU(), 0xFFFF0000U);
    VF acc[R][4];
    vectors::clear<Isa>(acc);
    for (std::size_t k = 0; k < K; k += 2, panel += 2 * kPanelRows) {
        if constexpr (R == 1) prefetch(panel, 4096);  // one row waits for memory, and panels follow each other
        VF odd[4], even[4];
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; ++j) {
            const VU w = hn::LoadU(DU(), reinterpret_cast<const std::uint32_t*>(panel) + kLanes * j);
            odd[j] = hn::BitCast(DF(), hn::And(w, upper));
            even[j] = hn::BitCast(DF(), hn::ShiftLeft<16>(w));
        }
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            std::uint32_t pair;
            std::memcpy(&pair, x + static_cast<std::size_t>(r) * ldx + k, sizeof pair);
            const VU b = hn::Set(DU(), pair);
            const VF b_odd = hn::BitCast(DF(), hn::And(b, upper)), b_even = hn::BitCast(DF(), hn::ShiftLeft<16>(b));
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) acc[r][j] = hn::MulAdd(b_odd, odd[j], acc[r][j]);
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) acc[r][j] = hn::MulAdd(b_even, even[j], acc[r][j]);
        }
    }
    if (n_valid == kPanelRows) return vectors::store_tile<Isa>(y, ldy, acc);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; ++j) {
            if (kLanes * j >= n_valid) break;
            const std::size_t lanes = n_valid - kLanes * j;
            store_part(acc[r][j], y + static_cast<std::size_t>(r) * ldy + kLanes * j, lanes < kLanes ? lanes : kLanes);
        }
}

}  // namespace

void panel_f32(const float* x, std::size_t ldx, std::size_t x_step, std::size_t T, const float* panel,
               std::size_t panel_stride, std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate) {
    if (n_valid != kPanelRows) {
        for (std::size_t t = 0; t < T; ++t)
            edge_row(x + t * ldx, x_step, panel, panel_stride, K, y + t * ldy, static_cast<std::size_t>(n_valid),
                     accumulate);
        return;
    }
    vectors::in_tiles_of_six(T, [&]<int R>(std::size_t t) {
        vectors::full_tile<Isa, LoadF32, R>(x + t * ldx, ldx, x_step, panel, panel_stride, K, y + t * ldy, ldy,
                                            accumulate);
    });
}

void panel_bf16(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                float* y, std::size_t ldy, int n_valid) {
    const auto outputs = static_cast<std::size_t>(n_valid);
    bool in_doubt = false;
    {
        const FlushDenormals environment;
        std::size_t t = 0;
        for (; t + kBf16Rows <= T; t += kBf16Rows)
            tile_bf16<kBf16Rows>(x + t * ldx, ldx, panel, K, y + t * ldy, ldy, outputs);
        for (; t < T; ++t) tile_bf16<1>(x + t * ldx, ldx, panel, K, y + t * ldy, ldy, outputs);
        in_doubt = FlushDenormals::in_doubt();
    }
    if (in_doubt) scalar::panel_bf16(x, ldx, T, panel, K, y, ldy, n_valid);
}

}  // namespace freehold::portable
