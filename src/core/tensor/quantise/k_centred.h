// 256 numbers for Q6_K and Q3_K: a scale per 16 as a signed integer times an F16 that all share, codes around zero.
// The integers are chosen by the error that they leave; the F16 is fitted anew to the codes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace freehold::quantise {

struct KCentred {
    std::uint16_t d = 0;       // F16 bits
    std::int8_t scale[16]{};   // -(most + 1) .. most
    std::uint8_t code[256]{};  // value + half
};

// Values -half .. half - 1; `most`: the largest scale, 127 or 31. Numbers are weighed by their squares, or (`by_size`)
// more evenly, which fewer bits need.
[[nodiscard]] KCentred k_centred(const float* x, int half, int most, bool by_size) noexcept;

}  // namespace freehold::quantise
