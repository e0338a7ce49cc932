// The sixteen values that the 4-bit codes of IQ4_NL and IQ4_XS stand for: dense near zero, as weights are.
// Kept with 128 added, so that they are unsigned as all codes of the int8 kernels are.
#pragma once

#include <cstdint>

namespace freehold {

inline constexpr std::uint8_t kIq4Values[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                129, 141, 153, 166, 181, 197, 217, 241};

}  // namespace freehold
