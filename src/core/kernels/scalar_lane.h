// One float as a lane type for functions.h: the scalar reference of every formula.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "functions.h"

namespace freehold {

struct F1 {
    float v;
    static F1 set(float x) noexcept { return {x}; }
};

inline F1 operator+(F1 a, F1 b) noexcept {
    return {a.v + b.v};
}
inline F1 operator-(F1 a, F1 b) noexcept {
    return {a.v - b.v};
}
inline F1 operator*(F1 a, F1 b) noexcept {
    return {a.v * b.v};
}
inline F1 operator/(F1 a, F1 b) noexcept {
    return {a.v / b.v};
}
// fma is exactly defined by IEEE 754, so the library's is as good as the chip's.
inline F1 fmadd(F1 a, F1 b, F1 c) noexcept {
    return {std::fma(a.v, b.v, c.v)};
}
inline bool less(F1 a, F1 b) noexcept {
    return a.v < b.v;
}
inline F1 select(bool mask, F1 yes, F1 no) noexcept {
    return mask ? yes : no;
}
inline F1 abs(F1 a) noexcept {
    return {std::bit_cast<float>(std::bit_cast<std::uint32_t>(a.v) & 0x7FFFFFFFU)};
}
inline F1 copysign(F1 magnitude, F1 sign) noexcept {
    return {std::bit_cast<float>((std::bit_cast<std::uint32_t>(magnitude.v) & 0x7FFFFFFFU) |
                                 (std::bit_cast<std::uint32_t>(sign.v) & 0x80000000U))};
}

// p * 2^n for `shifted` = n + kMagic, in two steps so that n = 128 does not overflow early.
inline F1 scale_pow2(F1 p, F1 shifted) noexcept {
    const auto n = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted.v) -
                                             std::bit_cast<std::uint32_t>(formula::kMagic));
    const std::int32_t first = n >> 1;
    const std::uint32_t second = static_cast<std::uint32_t>(n) - static_cast<std::uint32_t>(first);
    const float a = std::bit_cast<float>((static_cast<std::uint32_t>(first) + 127U) << 23);
    const float b = std::bit_cast<float>((second + 127U) << 23);
    return {p.v * a * b};
}

// p * 2^n in one step, for n in [-126, 127].
inline F1 scale_pow2_once(F1 p, F1 shifted) noexcept {
    return {p.v * std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted.v) << 23) + 0x3F800000U)};
}

}  // namespace freehold
