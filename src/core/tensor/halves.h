// Numbers read from and written to unaligned bytes, for the codecs.
#pragma once

#include <cstring>

#include "freehold/tensor/dtype.h"

namespace freehold {

inline std::uint16_t load_u16(const std::byte* p) noexcept {
    std::uint16_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline std::uint32_t load_u32(const std::byte* p) noexcept {
    std::uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline float load_f16(const std::byte* p) noexcept {
    return f16_to_f32(load_u16(p));
}

inline std::uint8_t load_u8(const std::byte* p) noexcept {
    return std::to_integer<std::uint8_t>(*p);
}

inline void store_u8(std::byte* p, unsigned v) noexcept {
    *p = static_cast<std::byte>(static_cast<std::uint8_t>(v));
}

inline void store_u16(std::byte* p, std::uint16_t v) noexcept {
    std::memcpy(p, &v, sizeof v);
}

inline void store_u32(std::byte* p, std::uint32_t v) noexcept {
    std::memcpy(p, &v, sizeof v);
}

// Bit i is bit 4 of code i: how Q5_0 and Q5_1 keep the fifth bits of 32 codes.
inline std::uint32_t fifth_bits(const std::uint8_t* code) noexcept {
    std::uint32_t bits = 0;
    for (int i = 0; i < 32; ++i) bits |= static_cast<std::uint32_t>((code[i] >> 4) & 1U) << i;
    return bits;
}

}  // namespace freehold
