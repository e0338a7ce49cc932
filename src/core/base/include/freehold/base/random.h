// Philox4x32-10 (Salmon et al. 2011), the counter-based generator of NUMERICS rule 7: a number depends on its key and
// counter only, so no slot, batch or thread leaks into a sample.
#pragma once

#include <array>
#include <cstdint>

namespace freehold {

// Four 32-bit words from a 64-bit key and a 128-bit counter.
[[nodiscard]] std::array<std::uint32_t, 4> philox4x32(std::uint64_t key, std::array<std::uint32_t, 4> counter) noexcept;

// What a random number is for; part of the counter, so that two uses never share numbers.
enum class RandomUse : std::uint32_t { sample = 1, init = 2, shuffle = 3, dropout = 4, test = 5, xtc = 6 };

// A stream for one use: next() walks the counter. `choice` is the index of the choice within its request.
class Random {
 public:
    Random(std::uint64_t seed, RandomUse use, std::uint32_t choice = 0, std::uint32_t position = 0) noexcept;
    std::uint32_t next() noexcept;
    double uniform() noexcept;  // [0, 1) with 53 bits
    float normal() noexcept;    // mean 0, variance 1, from our own log, sin and cos (no libm): same bits everywhere

 private:
    std::uint64_t seed_;
    std::array<std::uint32_t, 4> counter_;
    std::array<std::uint32_t, 4> block_{};
    int used_ = 4;
};

}  // namespace freehold
