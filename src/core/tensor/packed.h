// Blocks of a file to the words of panels, for codecs whose scales are F16: four codes of a word move at once, and the
// bits of a scale stay what they are. kernels.h tells which codes meet in which word.
#pragma once

#include "halves.h"

namespace freehold {

// The bits of a half after a way through F32: a NaN is made quiet, all others stay.
inline std::uint16_t load_quiet_f16(const std::byte* p) noexcept {
    const std::uint32_t h = load_u16(p);
    return static_cast<std::uint16_t>((h & 0x7FFFU) > 0x7C00U ? h | 0x200U : h);
}

// Nibbles as split_nibbles finds them are in the order of panels already.
inline void pack_split_nibbles(const std::byte* src, std::uint32_t* plane) noexcept {
    std::memcpy(plane, src, 16);
}

// The run of K-quants that run_nibbles takes out of 32 bytes.
inline void pack_run_nibbles(const std::byte* src, bool high, std::uint32_t* plane) noexcept {
    for (int p = 0; p < 4; ++p) {
        const std::uint32_t low_half = load_u32(src + 4 * p), high_half = load_u32(src + 16 + 4 * p);
        plane[p] = high ? (low_half >> 4 & 0x0F0F0F0FU) | (high_half & 0xF0F0F0F0U)
                        : (low_half & 0x0F0F0F0FU) | (high_half & 0x0F0F0F0FU) << 4;
    }
}

// The plane of fifth bits out of a word whose bit i belongs to value i (Q5_0, Q5_1).
inline std::uint32_t pack_fifth_bits(std::uint32_t bits) noexcept {
    std::uint32_t plane = 0;
    for (int g = 0; g < 8; ++g) {
        // Four bits to the lowest of four bytes: no two of the shifted copies meet in a bit.
        const std::uint32_t four = (bits >> (4 * g) & 15U) * 0x00204081U & 0x01010101U;
        plane |= four << g;
    }
    return plane;
}

}  // namespace freehold
