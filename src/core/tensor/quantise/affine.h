// Scale and minimum of a run: codes 0..kMost with x ~ scale * code + minimum.
// Several widths of the range are tried; for each, the codes give the best scale and minimum by weighted least squares,
// those give new codes, and so on while the error falls.
#pragma once

#include "run.h"

namespace freehold::quantise {

struct Affine {
    float scale = 0, min = 0;
    float error = 0;  // weighted squares
};

inline F4 affine_codes(F4 x, float inverse_scale, float min, float most) noexcept {
    return nearest(clamp((x - min) * inverse_scale, 0, most));
}

template <int N>
float affine_error(const Run<N>& run, float scale, float min, float most) noexcept {
    const float inverse_scale = inverse(scale);
    F4 error = all(0);
    for (int i = 0; i < Run<N>::kParts; ++i) {
        const F4 off = run.x[i] - (affine_codes(run.x[i], inverse_scale, min, most) * scale + min);
        error += run.w[i] * (off * off);
    }
    return sum(error);
}

// The best scale and minimum for the codes that (scale, min) give; false if all codes are equal.
// `below`: the minimum may not be above zero, as the formats with a subtracted minimum need.
template <int N>
bool affine_fit(const Run<N>& run, float& scale, float& min, float most, bool below) noexcept {
    const float inverse_scale = inverse(scale);
    F4 w = all(0), wx = w, wl = w, wll = w, wxl = w;
    for (int i = 0; i < Run<N>::kParts; ++i) {
        const F4 l = affine_codes(run.x[i], inverse_scale, min, most);
        const F4 a = run.w[i] * l, b = run.w[i] * run.x[i];
        w += run.w[i];
        wx += b;
        wl += a;
        wll += a * l;
        wxl += b * l;
    }
    const float sw = sum(w), swx = sum(wx), swl = sum(wl), swll = sum(wll), swxl = sum(wxl);
    const float determinant = sw * swll - swl * swl;
    if (!(determinant > 0)) return false;
    scale = (sw * swxl - swx * swl) / determinant;
    min = (swll * swx - swl * swxl) / determinant;
    if (below && min > 0) {
        min = 0;
        scale = swxl / swll;
    }
    return scale > 0;
}

template <int N>
Affine affine_search(const Run<N>& run, float most, bool below) noexcept {
    float low = run.least();
    const float high = run.largest();
    if (below && low > 0) low = 0;
    if (!(high > low)) return {.scale = 0, .min = low, .error = affine_error(run, 0, low, most)};
    Affine best{.scale = (high - low) / most, .min = low, .error = 0};
    best.error = affine_error(run, best.scale, best.min, most);
    const auto improve = [&](float scale, float min) {
        for (int round = 0; round < 4; ++round) {
            if (!affine_fit(run, scale, min, most, below)) return;
            const float error = affine_error(run, scale, min, most);
            if (!(error < best.error)) return;
            best = {.scale = scale, .min = min, .error = error};
        }
    };
    // A little wider than the range down to one code and a half narrower.
    for (int i = 0; i <= 24; ++i) improve((high - low) / (most - 1.5F + 0.1F * static_cast<float>(i)), low);
    improve(best.scale, best.min);
    return best;
}

template <int N>
void affine_store(const Run<N>& run, float scale, float min, float most, std::uint8_t* codes) noexcept {
    const float inverse_scale = inverse(scale);
    for (int i = 0; i < Run<N>::kParts; ++i) {
        const F4 l = affine_codes(run.x[i], inverse_scale, min, most);
        for (int j = 0; j < 4; ++j) codes[4 * i + j] = static_cast<std::uint8_t>(static_cast<int>(l[j]));
    }
}

}  // namespace freehold::quantise
