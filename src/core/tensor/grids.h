// What the five grid formats (IQ2, IQ3) have in common: a list of small vectors of magnitudes, an index into it, and
// signs. A code is the magnitude's number with bit 3 as the sign, and so stands in a table of sixteen values.
#pragma once

#include <bit>

#include "halves.h"

namespace freehold {

// The magnitudes of the 2-bit grids are 8, 25 and 43; those of IQ3_XXS 4 to 62, those of IQ3_S the odd numbers to 15.
// Entries 3 to 7 of the 2-bit table never occur.
inline constexpr std::uint8_t kIq2Values[16] = {136, 153, 171, 128, 128, 128, 128, 128,
                                                120, 103, 85,  128, 128, 128, 128, 128};
inline constexpr std::uint8_t kIq3XxsValues[16] = {132, 140, 148, 156, 164, 172, 180, 190,
                                                   124, 116, 108, 100, 92,  84,  76,  66};
inline constexpr std::uint8_t kIq3SValues[16] = {129, 131, 133, 135, 137, 139, 141, 143,
                                                 127, 125, 123, 121, 119, 117, 115, 113};

// Seven stored sign bits and an eighth that makes the number of minus signs even.
inline std::uint32_t even_signs(std::uint32_t seven) noexcept {
    return seven | (static_cast<std::uint32_t>(std::popcount(seven) & 1) << 7);
}

// Eight values of a grid entry with two bits each, entry 0 lowest.
inline void put_grid8(std::uint32_t entry, std::uint32_t signs, std::uint8_t* code) noexcept {
    for (int i = 0; i < 8; ++i)
        code[i] = static_cast<std::uint8_t>(((entry >> (2 * i)) & 3U) | (((signs >> i) & 1U) << 3));
}

// Four values of a grid entry with three bits each.
inline void put_grid4(std::uint32_t entry, std::uint32_t signs, std::uint8_t* code) noexcept {
    for (int i = 0; i < 4; ++i)
        code[i] = static_cast<std::uint8_t>(((entry >> (3 * i)) & 7U) | (((signs >> i) & 1U) << 3));
}

}  // namespace freehold
