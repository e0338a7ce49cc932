// Scale of a run whose codes lie on both sides of zero: x ~ scale * value(code). Two kinds of values: integers from -h
// to h - 1, and tables. The scale may be negative, so that the number farthest from zero may take the longer side.
#pragma once

#include "run.h"

namespace freehold::quantise {

// Integers -half .. half - 1.
struct Integers {
    float half;
    [[nodiscard]] F4 values(F4 scaled) const noexcept { return nearest(clamp(scaled, -half, half - 1)); }
    [[nodiscard]] float low() const noexcept { return -half; }
    [[nodiscard]] float high() const noexcept { return half - 1; }
    [[nodiscard]] int code(float value) const noexcept { return static_cast<int>(value + half); }
};

// Sixteen ascending values, stored with 128 added.
struct Sixteen {
    const std::uint8_t* table;
    [[nodiscard]] float at(int i) const noexcept { return static_cast<float>(table[i] - 128); }
    [[nodiscard]] F4 values(F4 scaled) const noexcept {
        F4 v = all(at(0));  // and each step up that is reached; small integers, so exact
        for (int i = 1; i < 16; ++i) v += scaled > 0.5F * (at(i - 1) + at(i)) ? all(at(i) - at(i - 1)) : all(0);
        return v;
    }
    [[nodiscard]] float low() const noexcept { return at(0); }
    [[nodiscard]] float high() const noexcept { return at(15); }
    [[nodiscard]] int code(float value) const noexcept {
        int i = 0;
        while (i < 15 && at(i) < value) ++i;
        return i;
    }
};

template <int N, class Values>
float centred_error(const Run<N>& run, const Values& values, float scale) noexcept {
    const float inverse_scale = inverse(scale);
    F4 error = all(0);
    for (int i = 0; i < Run<N>::kParts; ++i) {
        const F4 off = run.x[i] - values.values(run.x[i] * inverse_scale) * scale;
        error += run.w[i] * (off * off);
    }
    return sum(error);
}

// The best scale that was found, 0 for a run of zeros. For fixed codes the error falls by (sum wxl)^2 / sum wll, so the
// largest gain wins; from each start the scale follows its codes while that gains.
template <int N, class Values>
float centred_search(const Run<N>& run, const Values& values, int trials, float step) noexcept {
    const float extreme = run.extreme();
    if (extreme == 0) return 0;
    float best = extreme / values.low(), gain = -1;
    const auto improve = [&](float inverse_scale) {
        for (int round = 0; round < 4; ++round) {
            F4 wxl = all(0), wll = all(0);
            for (int i = 0; i < Run<N>::kParts; ++i) {
                const F4 l = values.values(run.x[i] * inverse_scale);
                const F4 wl = run.w[i] * l;
                wxl += wl * run.x[i];
                wll += wl * l;
            }
            const float sxl = sum(wxl), sll = sum(wll);
            if (!(sll > 0)) return;
            const float scale = sxl / sll;
            if (!(sxl * scale > gain)) return;
            gain = sxl * scale;
            best = scale;
            inverse_scale = inverse(scale);
        }
    };
    for (int i = -trials; i <= trials; ++i) {
        improve((values.low() + step * static_cast<float>(i)) / extreme);
        improve((values.high() + step * static_cast<float>(i)) / extreme);
    }
    return best;
}

template <int N, class Values>
void centred_store(const Run<N>& run, const Values& values, float scale, std::uint8_t* codes) noexcept {
    const float inverse_scale = inverse(scale);
    for (int i = 0; i < Run<N>::kParts; ++i) {
        const F4 l = values.values(run.x[i] * inverse_scale);
        for (int j = 0; j < 4; ++j) codes[4 * i + j] = static_cast<std::uint8_t>(values.code(l[j]));
    }
}

}  // namespace freehold::quantise
