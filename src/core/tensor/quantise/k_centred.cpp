// The search behind Q6_K and Q3_K: runs on their own first, then the shared scale, then both in turn while that helps.
#include "k_centred.h"

#include <algorithm>
#include <array>
#include <utility>

#include "centred.h"
#include "freehold/tensor/dtype.h"

namespace freehold::quantise {
namespace {

constexpr int kRuns = 16;

int to_integer(float value, float unit, int most) noexcept {
    const float ratio = value * inverse(unit);
    if (!(ratio > static_cast<float>(-most - 1))) return -most - 1;
    const float rounded = std::min(ratio, static_cast<float>(most));
    return static_cast<int>(rounded < 0 ? rounded - 0.5F : rounded + 0.5F);
}

float choose(const Run<16>& run, const Integers& values, float d, int scale, int most, std::int8_t& best) noexcept {
    float least = centred_error(run, values, d * static_cast<float>(scale));
    best = static_cast<std::int8_t>(scale);
    for (int s = std::max(scale - 2, -most - 1); s <= std::min(scale + 2, most); ++s) {
        const float error = centred_error(run, values, d * static_cast<float>(s));
        if (error < least) {
            least = error;
            best = static_cast<std::int8_t>(s);
        }
    }
    return least;
}

float refit(const std::array<Run<16>, kRuns>& runs, const KCentred& k, const Integers& values, float d) noexcept {
    double xl = 0, ll = 0;
    for (std::size_t r = 0; r < kRuns; ++r) {
        const auto scale = static_cast<float>(k.scale[r]);
        const float inverse_scale = inverse(d * scale);
        F4 wxl = all(0), wll = wxl;
        for (int i = 0; i < Run<16>::kParts; ++i) {
            const F4 l = values.values(runs[r].x[i] * inverse_scale) * scale;
            const F4 wl = runs[r].w[i] * l;
            wxl += wl * runs[r].x[i];
            wll += wl * l;
        }
        xl += static_cast<double>(sum(wxl));
        ll += static_cast<double>(sum(wll));
    }
    if (!(ll > 0)) return d;
    const float again = f16_to_f32(f32_to_f16(static_cast<float>(xl / ll)));
    return again != 0 ? again : d;
}

template <std::size_t... I>
std::array<Run<16>, kRuns> runs_of(const float* x, std::index_sequence<I...> /*indices*/) noexcept {
    return {Run<16>(x + 16 * I)...};
}

}  // namespace

KCentred k_centred(const float* x, int half, int most, bool by_size) noexcept {
    const Integers values{static_cast<float>(half)};
    std::array<Run<16>, kRuns> runs = runs_of(x, std::make_index_sequence<kRuns>());
    std::array<float, kRuns> own{};
    float extreme = 0;
    for (std::size_t r = 0; r < kRuns; ++r) {
        by_size ? runs[r].weigh_by_size() : runs[r].weigh_by_square();
        own[r] = centred_search(runs[r], values, 9, 0.1F);
        if (std::abs(own[r]) > std::abs(extreme)) extreme = own[r];
    }
    KCentred best;
    float d = f16_to_f32(f32_to_f16(extreme / static_cast<float>(-most - 1))), best_d = d, least = 0;
    for (int pass = 0; pass < 3; ++pass) {
        KCentred k;
        float error = 0;
        for (std::size_t r = 0; r < kRuns; ++r)
            error += choose(runs[r], values, d, to_integer(own[r], d, most), most, k.scale[r]);
        if (pass > 0 && !(error < least)) break;
        least = error;
        best = k;
        best_d = d;
        d = refit(runs, k, values, d);
    }
    best.d = f32_to_f16(best_d);
    for (std::size_t r = 0; r < kRuns; ++r)
        centred_store(runs[r], values, best_d * static_cast<float>(best.scale[r]), best.code + 16 * r);
    return best;
}

}  // namespace freehold::quantise
