// Philox4x32-10, and normal numbers from private polynomials for log and cos: the same bits on every machine.
#include "freehold/base/random.h"

#include <bit>
#include <cmath>

namespace freehold {

std::array<std::uint32_t, 4> philox4x32(std::uint64_t key, std::array<std::uint32_t, 4> counter) noexcept {
    // Multipliers and Weyl increments of the paper.
    constexpr std::uint64_t kMul0 = 0xD2511F53, kMul1 = 0xCD9E8D57;
    constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
    auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = kMul0 * counter[0], p1 = kMul1 * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
        k0 += kWeyl0;
        k1 += kWeyl1;
    }
    return counter;
}

Random::Random(std::uint64_t seed, RandomUse use, std::uint32_t choice, std::uint32_t position) noexcept
    : seed_(seed), counter_{0, choice, position, static_cast<std::uint32_t>(use)} {}

std::uint32_t Random::next() noexcept {
    if (used_ == 4) {
        block_ = philox4x32(seed_, counter_);
        ++counter_[0];
        used_ = 0;
    }
    return block_[static_cast<std::size_t>(used_++)];
}

double Random::uniform() noexcept {
    const std::uint64_t high = next() >> 5, low = next() >> 6;
    return static_cast<double>((high << 26) | low) * 0x1p-53;
}

namespace {

// Natural logarithm of x in (0, 1], by m * 2^e with m in [sqrt(1/2), sqrt(2)) and the series of 2 atanh((m-1)/(m+1)).
double log_unit(double x) noexcept {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    int exponent = static_cast<int>(bits >> 52) - 1023;
    double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | (1023ULL << 52));
    if (m > 1.4142135623730951) {
        m *= 0.5;
        ++exponent;
    }
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    double sum = 1.0 / 23;
    for (int n = 21; n >= 1; n -= 2) sum = sum * z + 1.0 / n;
    return 2.0 * s * sum + static_cast<double>(exponent) * 0.6931471805599453;
}

// Cosine of a full turn times u, u in [0, 1): the nearest quarter turn is exact, the rest is within 1/8 turn.
double cos_turn(double u) noexcept {
    const int quarter = static_cast<int>(std::floor(u * 4.0 + 0.5));
    const double x = (u - quarter * 0.25) * 6.283185307179586, z = x * x;
    double c = 1.0, s = 1.0;
    for (int n = 16; n >= 2; n -= 2) {
        c = 1.0 - c * z / (n * (n - 1));
        s = 1.0 - s * z / (n * (n + 1));
    }
    s *= x;
    switch (quarter & 3) {
        case 0:
            return c;
        case 1:
            return -s;
        case 2:
            return -c;
        default:
            return s;
    }
}

}  // namespace

float Random::normal() noexcept {
    const double radius = std::sqrt(-2.0 * log_unit(1.0 - uniform()));  // sqrt is exact by IEEE 754
    return static_cast<float>(radius * cos_turn(uniform()));
}

}  // namespace freehold
