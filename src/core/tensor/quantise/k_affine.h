// 256 numbers for Q4_K and Q5_K: a scale and a minimum per 32, both as 6-bit integers times an F16 that all share.
// The integers are chosen by the error that they leave, not by rounding; the two F16 are fitted anew to the codes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace freehold::quantise {

struct KAffine {
    std::uint16_t d = 0, dmin = 0;      // F16 bits
    std::uint8_t scale[8]{}, min[8]{};  // 0..63
    std::uint8_t code[256]{};
};

// `most`: the largest code, 15 or 31.
[[nodiscard]] KAffine k_affine(const float* x, int most) noexcept;

}  // namespace freehold::quantise
