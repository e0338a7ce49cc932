// What Highway offers to the tiles of vectors/: four lanes, thirty-two registers, so tiles of six rows.
#pragma once

#include "portable/lanes.h"
#include "vectors/mac_tile.h"

namespace freehold::portable {

struct LoadF32 {
    using Element = float;
    [[gnu::always_inline]] static VF lanes(const float* p) noexcept { return load(p); }
};

struct LoadF16 {
    using Element = std::uint16_t;
    [[gnu::always_inline]] static VF lanes(const std::uint16_t* p) noexcept { return load_f16(p); }
};

// Codes of keys or values in Q8_0; they count times a scale, which whoever loads them brings along.
struct LoadQ8 {
    using Element = std::int8_t;
    [[gnu::always_inline]] static VF lanes(const std::int8_t* p) noexcept { return hn::ConvertTo(DF(), load_int8(p)); }
};

inline constexpr int kTileRows = 6;  // 24 accumulators, 4 weights, a broadcast: 29 of 32 registers

struct Isa {
    using Vec = VF;
    using Lane = F4;
    static constexpr int kLanes = static_cast<int>(portable::kLanes);
    static constexpr int kTileRows = portable::kTileRows;
    // Panels side by side for R rows: enough chains to hide latency, few enough to stay in registers.
    template <int R>
    static constexpr int kWide = R == 1 ? 4 : (R == 2 ? 2 : 1);
    // Several panels are sixteen sums: with as many weights they would not stay in registers.
    template <int R, int W>
    static constexpr bool kOneLoad = W > 1;

    [[gnu::always_inline]] static Vec zero() noexcept { return hn::Zero(DF()); }
    [[gnu::always_inline]] static Vec set(float x) noexcept { return broadcast(x); }
    [[gnu::always_inline]] static Vec load(const float* p) noexcept { return portable::load(p); }
    [[gnu::always_inline]] static void store(float* p, Vec x) noexcept { portable::store(x, p); }
    [[gnu::always_inline]] static Vec add(Vec a, Vec b) noexcept { return hn::Add(a, b); }
    [[gnu::always_inline]] static Vec mul(Vec a, Vec b) noexcept { return hn::Mul(a, b); }
    [[gnu::always_inline]] static Vec fma(Vec a, Vec b, Vec c) noexcept { return hn::MulAdd(a, b, c); }
    [[gnu::always_inline]] static Vec max(Vec a, Vec b) noexcept { return larger(a, b); }
    // By the chip: a call of the scalar conversion would put all accumulators on the stack.
    [[gnu::always_inline]] static float half(std::uint16_t h) noexcept {
        return hn::GetLane(hn::PromoteTo(DF(), hn::BitCast(DHalf(), hn::Set(hn::FixedTag<std::uint16_t, 4>(), h))));
    }
    // x in lanes whose number, counted from lane0, is over low and under high; `no` elsewhere.
    [[gnu::always_inline]] static Vec between(Vec x, int lane0, int low, int high, Vec no) noexcept {
        const VI key = hn::Iota(DI(), lane0);
        const hn::Mask<DI> seen = hn::And(hn::Gt(key, hn::Set(DI(), low)), hn::Gt(hn::Set(DI(), high), key));
        return hn::IfThenElse(hn::RebindMask(DF(), seen), x, no);
    }
    [[gnu::always_inline]] static float sum16(const Vec (&lanes)[4]) noexcept { return tree16(lanes); }
    [[gnu::always_inline]] static float largest(Vec x) noexcept { return portable::largest(x); }
};

}  // namespace freehold::portable
