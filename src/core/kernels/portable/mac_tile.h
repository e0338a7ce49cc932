// The float micro-kernel: R rows of broadcast values times rows of 16 lanes, 4R accumulators in registers.
// Serves F32 products (lanes are outputs), scores (lanes are keys) and values (lanes are dimensions).
#pragma once

#include "portable/lanes.h"

namespace freehold::portable {

struct LoadF32 {
    using Element = float;
    [[gnu::always_inline]] static VF four(const float* p) noexcept { return load(p); }
};

struct LoadF16 {
    using Element = std::uint16_t;
    [[gnu::always_inline]] static VF four(const std::uint16_t* p) noexcept { return load_f16(p); }
};

// Codes of keys or values in Q8_0; they count times a scale, which whoever loads them brings along.
struct LoadQ8 {
    using Element = std::int8_t;
    [[gnu::always_inline]] static VF four(const std::int8_t* p) noexcept { return hn::ConvertTo(DF(), load_int8(p)); }
};

inline constexpr int kTileRows = 6;  // 24 accumulators, 4 weights, a broadcast: 29 of 32 registers

// acc[r][4w + .] = fma(x[r*ldx + k*x_step], panels[w][k*stride + .], acc[r][4w + .]), k ascending: W panels side by
// side, so that one row has chains enough to hide the latency of fma. With scales each element is multiplied by
// scales[4w + .] first; a code of Q8_0 times its scale is exact.
template <class Load, int R, int W>
[[gnu::always_inline]] inline void mac_tile(const float* x, std::size_t ldx, std::size_t x_step,
                                            const typename Load::Element* const (&panels)[W], std::size_t stride,
                                            std::size_t K, VF (&acc)[R][4 * W], const VF* scales = nullptr) noexcept {
    for (std::size_t k = 0; k < K; ++k, x += x_step) {
#pragma GCC unroll 4
        for (int i = 0; i < W; ++i) {
            VF w[4];
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) {
                w[j] = Load::four(panels[i] + k * stride + kLanes * static_cast<std::size_t>(j));
                if (scales != nullptr) w[j] = hn::Mul(w[j], scales[4 * i + j]);
            }
#pragma GCC unroll 6
            for (int r = 0; r < R; ++r) {
                const VF b = broadcast(x[static_cast<std::size_t>(r) * ldx]);
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) acc[r][4 * i + j] = hn::MulAdd(b, w[j], acc[r][4 * i + j]);
            }
        }
    }
}

template <int R, int N>
[[gnu::always_inline]] inline void clear(VF (&acc)[R][N]) noexcept {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) acc[r][i] = hn::Zero(DF());
}

template <int R, int N>
[[gnu::always_inline]] inline void load_tile(const float* from, std::size_t ld, VF (&acc)[R][N]) noexcept {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i)
            acc[r][i] = load(from + static_cast<std::size_t>(r) * ld + kLanes * static_cast<std::size_t>(i));
}

template <int R, int N>
[[gnu::always_inline]] inline void store_tile(float* to, std::size_t ld, const VF (&acc)[R][N]) noexcept {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i)
            store(acc[r][i], to + static_cast<std::size_t>(r) * ld + kLanes * static_cast<std::size_t>(i));
}

// Calls f with the number of rows of each tile as a constant, and the first row: tiles of six, then what is left.
template <class F>
[[gnu::always_inline]] inline void by_tiles(std::size_t rows, F&& f) {
    std::size_t t = 0;
    for (; t + kTileRows <= rows; t += kTileRows) f.template operator()<kTileRows>(t);
    switch (rows - t) {
        case 5:
            return f.template operator()<5>(t);
        case 4:
            return f.template operator()<4>(t);
        case 3:
            return f.template operator()<3>(t);
        case 2:
            return f.template operator()<2>(t);
        case 1:
            return f.template operator()<1>(t);
        default:
            return;
    }
}

}  // namespace freehold::portable
