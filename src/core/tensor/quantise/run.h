// What quantisers look at: 16 or 32 numbers with a weight each, in vectors of four, and the sums over them.
// Lanes and the order of every sum are fixed, so a file is the same on every machine; square roots and divisions are
// those of IEEE 754, nothing else comes from a library.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace freehold::quantise {

using F4 = float __attribute__((vector_size(16)));
using I4 = std::int32_t __attribute__((vector_size(16)));

inline F4 all(float v) noexcept {
    return F4{v, v, v, v};
}
inline float sum(F4 v) noexcept {
    return (v[0] + v[2]) + (v[1] + v[3]);
}
inline F4 clamp(F4 v, float low, float high) noexcept {
    const F4 l = all(low), h = all(high);
    v = v < h ? v : h;  // NaN becomes `high`: a code, whatever the number was
    return v > l ? v : l;
}
// To the nearest integer, ties to even; for magnitudes below 2^22.
inline F4 nearest(F4 v) noexcept {
    return (v + 12582912.0F) - 12582912.0F;
}
inline F4 magnitude(F4 v) noexcept {
    return v < 0.0F ? -v : v;
}
// Of numbers so small that no format can store them: 0, so that nothing becomes infinite.
inline float inverse(float v) noexcept {
    return (v < 0 ? -v : v) < 0x1p-100F ? 0.0F : 1.0F / v;
}

template <int N>
struct Run {
    static constexpr int kParts = N / 4;
    F4 x[kParts];
    F4 w[kParts];

    explicit Run(const float* values) noexcept { std::memcpy(x, values, sizeof x); }

    // Large numbers count more, small ones still count: what K-quants without an importance matrix use.
    void weigh_by_size() noexcept {
        F4 squares = all(0);
        for (const F4& v : x) squares += v * v;
        const float rms = std::sqrt(sum(squares) / N);
        for (int i = 0; i < kParts; ++i) w[i] = magnitude(x[i]) + rms;
    }
    void weigh_by_square() noexcept {
        for (int i = 0; i < kParts; ++i) w[i] = x[i] * x[i];
    }

    // The number that is farthest from zero, with its sign; of several the first in lane order.
    [[nodiscard]] float extreme() const noexcept {
        float most = 0, size = 0;
        for (const F4& v : x)
            for (int i = 0; i < 4; ++i) {
                const float s = v[i] < 0 ? -v[i] : v[i];
                if (s > size) {
                    size = s;
                    most = v[i];
                }
            }
        return most;
    }
    [[nodiscard]] float least() const noexcept {
        float v = x[0][0];
        for (const F4& part : x)
            for (int i = 0; i < 4; ++i) v = part[i] < v ? part[i] : v;
        return v;
    }
    [[nodiscard]] float largest() const noexcept {
        float v = x[0][0];
        for (const F4& part : x)
            for (int i = 0; i < 4; ++i) v = part[i] > v ? part[i] : v;
        return v;
    }
};

}  // namespace freehold::quantise
