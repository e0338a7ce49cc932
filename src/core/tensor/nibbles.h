// The two ways in which formats put 4-bit codes into bytes, and the fifth bits that some keep beside them.
#pragma once

#include "halves.h"

namespace freehold {

// 16 bytes, 32 values: byte i holds value i in its low and value i + 16 in its high nibble (Q4_0 and its kin).
inline void split_nibbles(const std::byte* src, std::uint8_t* code) noexcept {
    for (int i = 0; i < 16; ++i) {
        const std::uint8_t q = load_u8(src + i);
        code[i] = q & 15U;
        code[i + 16] = static_cast<std::uint8_t>(q >> 4);
    }
}

// 32 bytes that two runs of 32 values share: one has the low nibbles, the other the high ones (K-quants).
inline void run_nibbles(const std::byte* src, bool high, std::uint8_t* code) noexcept {
    for (int i = 0; i < 32; ++i)
        code[i] = static_cast<std::uint8_t>(high ? load_u8(src + i) >> 4 : load_u8(src + i) & 15U);
}

// Bit i of the word is the fifth bit of value i (Q5_0, Q5_1).
inline void add_fifth_bits(std::uint32_t bits, std::uint8_t* code) noexcept {
    for (int i = 0; i < 32; ++i) code[i] = static_cast<std::uint8_t>(code[i] | (((bits >> i) & 1U) << 4));
}

}  // namespace freehold
