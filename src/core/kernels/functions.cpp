// Scalars of the functions of NUMERICS rule 1: float ones through the shared formulas, double ones written out here.
// No libm: series and reductions are ours, so every C library gives the same bits.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "freehold/kernels/kernels.h"
#include "scalar_lane.h"

namespace freehold {
namespace {

constexpr double kLn2High = 0x1.62e42fee00000p-1;  // 33 bits: n * kLn2High is exact for |n| < 2^20
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

// e^x for |x| < 700.
double exp_double(double x) noexcept {
    constexpr double kMagic = 0x1.8p52;
    const double shifted = std::fma(x, 0x1.71547652b82fep0, kMagic);
    const double n = shifted - kMagic;
    double r = std::fma(n, -kLn2High, x);
    r = std::fma(n, -kLn2Low, r);
    double p = 1.0;
    for (int i = 18; i >= 1; --i) p = std::fma(p, r / static_cast<double>(i), 1.0);
    const auto exponent = static_cast<std::int64_t>(n) + 1023;
    return p * std::bit_cast<double>(static_cast<std::uint64_t>(exponent) << 52);
}

}  // namespace

float fh_exp(float x) noexcept {
    return formula::exp_of(F1{x}).v;
}
float fh_tanh(float x) noexcept {
    return formula::tanh_of(F1{x}).v;
}
float fh_erf(float x) noexcept {
    return formula::erf_of(F1{x}).v;
}
float fh_log(float x) noexcept {
    return static_cast<float>(fh_log_double(static_cast<double>(x)));
}

// x = m 2^e with m in [sqrt(1/2), sqrt 2); log m = 2 atanh(s), s = (m-1)/(m+1), by its series.
double fh_log_double(double x) noexcept {
    if (!(x > 0)) return x == 0 ? -__builtin_inf() : __builtin_nan("");
    auto bits = std::bit_cast<std::uint64_t>(x);
    if (bits >= 0x7FF0000000000000U) return x;  // infinity
    int e = 0;
    if (bits < 0x0010000000000000U) {  // denormal
        bits = std::bit_cast<std::uint64_t>(x * 0x1p54);
        e = -54;
    }
    e += static_cast<int>(bits >> 52) - 1023;
    double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFU) | 0x3FF0000000000000U);
    if (m > 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        ++e;
    }
    const double f = m - 1.0;
    const double s = f / (2.0 + f);
    const double z = s * s;
    double series = 0;
    for (int k = 23; k >= 3; k -= 2) series = std::fma(series, z, 1.0 / static_cast<double>(k));
    const double tail = 2.0 * s * z * series;
    const double n = static_cast<double>(e);
    return std::fma(n, kLn2High, std::fma(n, kLn2Low, std::fma(2.0, s, tail)));
}

double fh_pow(double base, double exponent) noexcept {
    return exp_double(exponent * fh_log_double(base));
}

void fh_sincos(double x, double& s, double& c) noexcept {
    // x = n pi/2 + r; pi/2 in three parts, the first two of 33 bits, so that n times each is exact for n < 2^20.
    constexpr double kMagic = 0x1.8p52;
    const double n = std::fma(x, 0x1.45f306dc9c883p-1, kMagic) - kMagic;
    double r = std::fma(n, -0x1.921fb54400000p0, x);
    r = std::fma(n, -0x1.0b4611a600000p-34, r);
    r = std::fma(n, -0x1.3198a2e037073p-69, r);
    const double z = r * r;
    double sine = 1.0, cosine = 1.0;
    for (int k = 19; k >= 3; k -= 2) sine = std::fma(sine, -z / static_cast<double>(k * (k - 1)), 1.0);
    for (int k = 20; k >= 2; k -= 2) cosine = std::fma(cosine, -z / static_cast<double>(k * (k - 1)), 1.0);
    sine *= r;
    switch (static_cast<std::int64_t>(n) & 3) {
        case 0:
            s = sine, c = cosine;
            break;
        case 1:
            s = cosine, c = -sine;
            break;
        case 2:
            s = -sine, c = -cosine;
            break;
        default:
            s = -cosine, c = sine;
            break;
    }
}

WithSink with_sink(float max, float sum, float sink) noexcept {
    const float both = std::max(max, sink);
    const float factor = fh_exp(max - both);
    return {both, std::fma(sum, factor, fh_exp(sink - both)), factor};
}

}  // namespace freehold
