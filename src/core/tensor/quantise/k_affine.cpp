// The search behind Q4_K and Q5_K: runs on their own first, then the shared scales, then both in turn while that helps.
#include "k_affine.h"

#include <algorithm>
#include <cmath>

#include "affine.h"
#include "freehold/tensor/dtype.h"

namespace freehold::quantise {
namespace {

struct Shared {
    float d = 0, dmin = 0;  // exact F16 values
};

int to_integer(float value, float unit) noexcept {
    const float ratio = value * inverse(unit);
    if (!(ratio > 0)) return 0;
    return static_cast<int>(std::floor(std::min(ratio, 63.0F) + 0.5F));
}

// The integers around (scale, min) that leave the least error in a run; returns that error.
float choose(const Run<32>& run, const Shared& s, int scale, int min, float most, std::uint8_t& best_scale,
             std::uint8_t& best_min) noexcept {
    float least = affine_error(run, s.d * static_cast<float>(scale), -s.dmin * static_cast<float>(min), most);
    best_scale = static_cast<std::uint8_t>(scale);
    best_min = static_cast<std::uint8_t>(min);
    for (int a = std::max(scale - 1, 0); a <= std::min(scale + 1, 63); ++a)
        for (int b = std::max(min - 1, 0); b <= std::min(min + 1, 63); ++b) {
            const float error = affine_error(run, s.d * static_cast<float>(a), -s.dmin * static_cast<float>(b), most);
            if (error < least) {
                least = error;
                best_scale = static_cast<std::uint8_t>(a);
                best_min = static_cast<std::uint8_t>(b);
            }
        }
    return least;
}

// d and dmin that fit the codes best: x ~ d * (scale * code) - dmin * min, over all runs.
Shared refit(const Run<32>* runs, const KAffine& k, const Shared& s, float most) noexcept {
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (int r = 0; r < 8; ++r) {
        const auto scale = static_cast<float>(k.scale[r]), min = static_cast<float>(k.min[r]);
        const float inverse_scale = inverse(s.d * scale);
        F4 wa = all(0), waa = wa, wax = wa, w = wa, wx = wa;
        for (int i = 0; i < Run<32>::kParts; ++i) {
            const F4 a = affine_codes(runs[r].x[i], inverse_scale, -s.dmin * min, most) * scale;
            const F4 v = runs[r].w[i] * a;
            wa += v;
            waa += v * a;
            wax += v * runs[r].x[i];
            w += runs[r].w[i];
            wx += runs[r].w[i] * runs[r].x[i];
        }
        aa += static_cast<double>(sum(waa));
        ab -= static_cast<double>(min) * static_cast<double>(sum(wa));
        bb += static_cast<double>(min) * static_cast<double>(min) * static_cast<double>(sum(w));
        ax += static_cast<double>(sum(wax));
        bx -= static_cast<double>(min) * static_cast<double>(sum(wx));
    }
    const double determinant = aa * bb - ab * ab;
    double d = static_cast<double>(s.d), dmin = static_cast<double>(s.dmin);
    if (determinant > 1e-6 * aa * bb) {
        d = (ax * bb - bx * ab) / determinant;
        dmin = (bx * aa - ax * ab) / determinant;
    } else if (aa > 0) {
        d = (ax - dmin * ab) / aa;
    }
    const Shared again{f16_to_f32(f32_to_f16(static_cast<float>(d))), f16_to_f32(f32_to_f16(static_cast<float>(dmin)))};
    return again.d > 0 && again.dmin >= 0 ? again : s;
}

}  // namespace

KAffine k_affine(const float* x, int most_code) noexcept {
    const auto most = static_cast<float>(most_code);
    Run<32> runs[8] = {Run<32>(x),       Run<32>(x + 32),  Run<32>(x + 64),  Run<32>(x + 96),
                       Run<32>(x + 128), Run<32>(x + 160), Run<32>(x + 192), Run<32>(x + 224)};
    Affine own[8];
    float most_scale = 0, most_min = 0;
    for (int r = 0; r < 8; ++r) {
        runs[r].weigh_by_size();
        own[r] = affine_search(runs[r], most, true);
        most_scale = std::max(most_scale, own[r].scale);
        most_min = std::max(most_min, -own[r].min);
    }
    KAffine best;
    Shared s{f16_to_f32(f32_to_f16(most_scale / 63)), f16_to_f32(f32_to_f16(most_min / 63))}, best_shared = s;
    float least = 0;
    for (int pass = 0; pass < 3; ++pass) {
        KAffine k;
        float error = 0;
        for (int r = 0; r < 8; ++r)
            error += choose(runs[r], s, to_integer(own[r].scale, s.d), to_integer(-own[r].min, s.dmin), most,
                            k.scale[r], k.min[r]);
        if (pass > 0 && !(error < least)) break;
        least = error;
        best = k;
        best_shared = s;
        s = refit(runs, k, s, most);
    }
    best.d = f32_to_f16(best_shared.d);
    best.dmin = f32_to_f16(best_shared.dmin);
    for (int r = 0; r < 8; ++r)
        affine_store(runs[r], best_shared.d * static_cast<float>(best.scale[r]),
                     -best_shared.dmin * static_cast<float>(best.min[r]), most, best.code + 32 * r);
    return best;
}

}  // namespace freehold::quantise
