// The float micro-kernel over the vectors of an instruction set: R rows of broadcast values times rows of 16 lanes.
// Serves F32 products (lanes are outputs), scores (lanes are keys) and values (lanes are dimensions).
//
// I is what an instruction set offers (avx2/mac_tile.h, avx512/mac_tile.h, portable/mac_tile.h): Vec, kLanes, zero,
// set, load, store, mul, fma. Everything here is a template over I: code for one instruction set must never be merged
// with that for another.
#pragma once

#include <cstddef>

namespace freehold::vectors {

template <class I>
inline constexpr int kParts = 16 / I::kLanes;  // vectors for 16 lanes

// acc[r][P*w + .] = fma(x[r*ldx + k*x_step], panels[w][k*stride + .], acc[r][P*w + .]), k ascending: W panels of P
// vectors side by side, so that few rows have chains enough to hide the latency of fma (R * W * P should be 8 to 12, 16
// with 32 registers). With scales each element is multiplied by scales[P*w + .] first; a code of Q8_0 times its scale
// is exact.
template <class I, class Load, int R, int W>
[[gnu::always_inline]] inline void mac_tile(const float* x, std::size_t ldx, std::size_t x_step,
                                            const typename Load::Element* const (&panels)[W], std::size_t stride,
                                            std::size_t K, typename I::Vec (&acc)[R][W * kParts<I>],
                                            const typename I::Vec* scales = nullptr) noexcept {
    using Vec = typename I::Vec;
    constexpr int kVectors = W * kParts<I>;
    for (std::size_t k = 0; k < K; ++k, x += x_step) {
        if constexpr (I::template kOneLoad<R, W>) {
            // Sums and values of x fill the registers: one vector of weights at a time, or they spill.
            Vec b[R];
#pragma GCC unroll 12
            for (int r = 0; r < R; ++r) b[r] = I::set(x[static_cast<std::size_t>(r) * ldx]);
#pragma GCC unroll 16
            for (int i = 0; i < kVectors; ++i) {
                Vec w = Load::lanes(panels[i / kParts<I>] + k * stride + I::kLanes * (i % kParts<I>));
                if (scales != nullptr) w = I::mul(w, scales[i]);
#pragma GCC unroll 12
                for (int r = 0; r < R; ++r) acc[r][i] = I::fma(b[r], w, acc[r][i]);
            }
        } else {
            Vec w[kVectors];
#pragma GCC unroll 16
            for (int i = 0; i < kVectors; ++i) {
                w[i] = Load::lanes(panels[i / kParts<I>] + k * stride + I::kLanes * (i % kParts<I>));
                if (scales != nullptr) w[i] = I::mul(w[i], scales[i]);
            }
#pragma GCC unroll 12
            for (int r = 0; r < R; ++r) {
                const Vec b = I::set(x[static_cast<std::size_t>(r) * ldx]);
#pragma GCC unroll 16
                for (int i = 0; i < kVectors; ++i) acc[r][i] = I::fma(b, w[i], acc[r][i]);
            }
        }
    }
}

template <class I, int R, int N>
[[gnu::always_inline]] inline void clear(typename I::Vec (&acc)[R][N]) noexcept {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) acc[r][i] = I::zero();
}

template <class I, int R, int N>
[[gnu::always_inline]] inline void load_tile(const float* from, std::size_t ld, typename I::Vec (&acc)[R][N]) noexcept {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) acc[r][i] = I::load(from + static_cast<std::size_t>(r) * ld + I::kLanes * i);
}

template <class I, int R, int N>
[[gnu::always_inline]] inline void store_tile(float* to, std::size_t ld, const typename I::Vec (&acc)[R][N]) noexcept {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) I::store(to + static_cast<std::size_t>(r) * ld + I::kLanes * i, acc[r][i]);
}

// A whole panel of 16 outputs for R rows, from zero or from what y holds.
template <class I, class Load, int R>
[[gnu::always_inline]] inline void full_tile(const float* x, std::size_t ldx, std::size_t x_step,
                                             const typename Load::Element* panel, std::size_t stride, std::size_t K,
                                             float* y, std::size_t ldy, bool accumulate) noexcept {
    typename I::Vec acc[R][kParts<I>];
    if (accumulate)
        load_tile<I>(y, ldy, acc);
    else
        clear<I>(acc);
    const typename Load::Element* const panels[1] = {panel};
    mac_tile<I, Load, R, 1>(x, ldx, x_step, panels, stride, K, acc);
    store_tile<I>(y, ldy, acc);
}

// Rows in tiles of six: calls f with a tile's rows as a constant and its first row. Tile heights cannot change a bit,
// because every row is a chain of its own.
template <class F>
[[gnu::always_inline]] inline void in_tiles_of_six(std::size_t rows, F&& f) {
    std::size_t r = 0;
    for (; r + 6 <= rows; r += 6) f.template operator()<6>(r);
    switch (rows - r) {
        case 5:
            return f.template operator()<5>(r);
        case 4:
            return f.template operator()<4>(r);
        case 3:
            return f.template operator()<3>(r);
        case 2:
            return f.template operator()<2>(r);
        case 1:
            return f.template operator()<1>(r);
        default:
            return;
    }
}

}  // namespace freehold::vectors
