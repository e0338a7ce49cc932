// The eight 6-bit scales and eight 6-bit minimums that Q4_K and Q5_K keep in twelve bytes.
// Bytes 0-3 and 4-7: entries 0-3 in their low six bits; their top two bits complete the nibbles of bytes 8-11 (entries
// 4-7).
#pragma once

#include "packed.h"

namespace freehold {

struct KScale {
    std::uint8_t scale, min;
};

inline KScale k_scale(const std::byte* p, int j) noexcept {
    if (j < 4)
        return {static_cast<std::uint8_t>(load_u8(p + j) & 63U), static_cast<std::uint8_t>(load_u8(p + j + 4) & 63U)};
    const std::uint32_t nibbles = load_u8(p + j + 4);
    return {static_cast<std::uint8_t>((nibbles & 15U) | ((load_u8(p + j - 4) >> 6) << 4)),
            static_cast<std::uint8_t>((nibbles >> 4) | ((load_u8(p + j) >> 6) << 4))};
}

inline void store_k_scales(std::byte* p, const std::uint8_t* scale, const std::uint8_t* min) noexcept {
    for (int j = 0; j < 4; ++j) {
        store_u8(p + j, (scale[j] & 63U) | ((scale[j + 4] >> 4) << 6));
        store_u8(p + j + 4, (min[j] & 63U) | ((min[j + 4] >> 4) << 6));
        store_u8(p + j + 8, (scale[j + 4] & 15U) | ((min[j + 4] & 15U) << 4));
    }
}

// What Q4_K and Q5_K begin with: F16 scale of scales, F16 scale of minimums, twelve bytes as above. Fills the scale and
// the minimum of one run of 32; min is what is added, so its sign is turned.
inline void k_head(const std::byte* src, int run, CodeBlock& c) noexcept {
    const KScale s = k_scale(src + 4, run);
    c.scale = load_f16(src);
    c.scale_code = static_cast<std::int8_t>(s.scale);
    c.min = -load_f16(src + 2);
    c.min_code = static_cast<std::int8_t>(s.min);
}

// The same for all eight runs, as panels keep them.
inline void pack_k_head(const std::byte* src, PackedBlock* runs) noexcept {
    const std::uint32_t low = load_u32(src + 4), middle = load_u32(src + 8), high = load_u32(src + 12);
    // Entries 0-3, then 4-7, a byte each.
    const std::uint32_t scales[2] = {low & 0x3F3F3F3FU, (high & 0x0F0F0F0FU) | (low >> 6 & 0x03030303U) << 4};
    const std::uint32_t mins[2] = {middle & 0x3F3F3F3FU, (high >> 4 & 0x0F0F0F0FU) | (middle >> 6 & 0x03030303U) << 4};
    const std::uint16_t d = load_quiet_f16(src);
    const auto dmin = static_cast<std::uint16_t>(load_quiet_f16(src + 2) ^ 0x8000U);
    for (int run = 0; run < 8; ++run) {
        const int shift = 8 * (run % 4);
        runs[run].scale = d;
        runs[run].min = dmin;
        runs[run].scale_code = static_cast<std::int8_t>(scales[run / 4] >> shift & 63U);
        runs[run].min_code = static_cast<std::int8_t>(mins[run / 4] >> shift & 63U);
    }
}

}  // namespace freehold
