// Half and brain floats read from unaligned bytes, for the codecs.
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

}  // namespace freehold
