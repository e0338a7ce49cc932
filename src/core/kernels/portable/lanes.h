// Four floats as a lane type for functions.h, and the small moves that the portable files share, by Google Highway.
// Vectors are always 128 bits, whatever the chip has: on aarch64 that is NEON (32 registers, fma). Included only by
// files of this folder.
#pragma once

// One target, chosen by the compiler's options; vectors of unknown length do not fit into arrays of accumulators.
#define HWY_COMPILE_ONLY_STATIC
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "functions.h"

static_assert(HWY_NATIVE_FMA, "NUMERICS rule 2 asks for an fma that rounds once");

namespace freehold::portable {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::FixedTag<float, 4>;
using DD = hn::FixedTag<double, 2>;
using DI = hn::FixedTag<std::int32_t, 4>;
using DU = hn::FixedTag<std::uint32_t, 4>;
using DI16 = hn::FixedTag<std::int16_t, 8>;
using DI8 = hn::FixedTag<std::int8_t, 16>;
using DU8 = hn::FixedTag<std::uint8_t, 16>;
using DHalf = hn::FixedTag<hwy::float16_t, 4>;
using VF = hn::Vec<DF>;
using VD = hn::Vec<DD>;
using VI = hn::Vec<DI>;
using VU = hn::Vec<DU>;
using VI16 = hn::Vec<DI16>;
using VI8 = hn::Vec<DI8>;
using VU8 = hn::Vec<DU8>;

inline constexpr std::size_t kLanes = 4;

[[gnu::always_inline]] inline VF load(const float* p) noexcept {
    return hn::LoadU(DF(), p);
}
[[gnu::always_inline]] inline void store(VF v, float* p) noexcept {
    hn::StoreU(v, DF(), p);
}
[[gnu::always_inline]] inline VF broadcast(float x) noexcept {
    return hn::Set(DF(), x);
}
// Ends of rows, n in [0, 4]: nothing past them is touched, absent lanes are zero.
[[gnu::always_inline]] inline VF load_part(const float* p, std::size_t n) noexcept {
    float part[kLanes] = {};
    std::memcpy(part, p, n * sizeof(float));
    return load(part);
}
[[gnu::always_inline]] inline void store_part(VF v, float* p, std::size_t n) noexcept {
    float part[kLanes];
    store(v, part);
    std::memcpy(p, part, n * sizeof(float));
}
[[gnu::always_inline]] inline VF load_f16(const void* p) noexcept {
    return hn::PromoteTo(DF(), hn::LoadU(DHalf(), static_cast<const hwy::float16_t*>(p)));
}
[[gnu::always_inline]] inline VI load_int8(const void* p) noexcept {
    return hn::PromoteTo(DI(), hn::LoadU(hn::FixedTag<std::int8_t, 4>(), static_cast<const std::int8_t*>(p)));
}

struct F4 {
    VF v;
    [[gnu::always_inline]] static F4 set(float x) noexcept { return {broadcast(x)}; }
};

[[gnu::always_inline]] inline F4 operator+(F4 a, F4 b) noexcept {
    return {hn::Add(a.v, b.v)};
}
[[gnu::always_inline]] inline F4 operator-(F4 a, F4 b) noexcept {
    return {hn::Sub(a.v, b.v)};
}
[[gnu::always_inline]] inline F4 operator*(F4 a, F4 b) noexcept {
    return {hn::Mul(a.v, b.v)};
}
[[gnu::always_inline]] inline F4 operator/(F4 a, F4 b) noexcept {
    return {hn::Div(a.v, b.v)};
}
[[gnu::always_inline]] inline F4 fmadd(F4 a, F4 b, F4 c) noexcept {
    return {hn::MulAdd(a.v, b.v, c.v)};
}
[[gnu::always_inline]] inline hn::Mask<DF> less(F4 a, F4 b) noexcept {
    return hn::Lt(a.v, b.v);
}
[[gnu::always_inline]] inline F4 select(hn::Mask<DF> mask, F4 yes, F4 no) noexcept {
    return {hn::IfThenElse(mask, yes.v, no.v)};
}
[[gnu::always_inline]] inline F4 abs(F4 a) noexcept {
    return {hn::Abs(a.v)};
}
[[gnu::always_inline]] inline F4 copysign(F4 magnitude, F4 sign) noexcept {
    return {hn::CopySign(magnitude.v, sign.v)};
}

// 2^n as floats from n as integers, n in [-126, 127].
[[gnu::always_inline]] inline VF pow2(VI n) noexcept {
    return hn::BitCast(DF(), hn::ShiftLeft<23>(hn::Add(n, hn::Set(DI(), 127))));
}

[[gnu::always_inline]] inline F4 scale_pow2(F4 p, F4 shifted) noexcept {
    const VI n = hn::Sub(hn::BitCast(DI(), shifted.v), hn::BitCast(DI(), broadcast(formula::kMagic)));
    const VI first = hn::ShiftRight<1>(n);
    return {hn::Mul(hn::Mul(p.v, pow2(first)), pow2(hn::Sub(n, first)))};
}

// The magic number has no low bits, so shifting leaves n in the exponent's place.
[[gnu::always_inline]] inline F4 scale_pow2_once(F4 p, F4 shifted) noexcept {
    const VI exponent = hn::ShiftLeft<23>(hn::BitCast(DI(), shifted.v));
    return {hn::Mul(p.v, hn::BitCast(DF(), hn::Add(exponent, hn::Set(DI(), 0x3F800000))))};
}

// The larger lanes; NaN in x never enters (the chips' own maxima treat NaN differently).
[[gnu::always_inline]] inline VF larger(VF x, VF best) noexcept {
    return hn::IfThenElse(hn::Gt(x, best), x, best);
}

// Asks for the line `ahead` bytes behind p; it may lie outside of what p points into, nothing is read.
[[gnu::always_inline]] inline void prefetch(const void* p, std::size_t ahead) noexcept {
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p) + ahead));
}

// NUMERICS rule 5: lanes 0-3, 4-7, 8-11 and 12-15, then the tree 8, 4, 2, 1.
[[gnu::always_inline]] inline float tree16(const VF (&lanes)[4]) noexcept {
    const VF four = hn::Add(hn::Add(lanes[0], lanes[2]), hn::Add(lanes[1], lanes[3]));
    float f[kLanes];
    store(four, f);
    return (f[0] + f[2]) + (f[1] + f[3]);
}

// Largest lane of what `larger` made.
[[gnu::always_inline]] inline float largest(VF x) noexcept {
    float f[kLanes];
    store(x, f);
    const float a = f[0] > f[1] ? f[0] : f[1], b = f[2] > f[3] ? f[2] : f[3];
    return a > b ? a : b;
}

}  // namespace freehold::portable
