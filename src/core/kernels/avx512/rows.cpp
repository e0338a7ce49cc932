// Rows: norms, activations, rotary, and the reductions that sampling needs, sixteen values at a time.
// Ends of rows use masked loads whose absent lanes add nothing; the sixteen lanes of rule 5 are the lanes of a
// register.
#include <cmath>
#include <limits>

#include "lanes.h"
#include "table.h"

namespace freehold::avx512 {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Calls step(i, mask) for groups of sixteen, the last one perhaps short.
template <class Step>
[[gnu::always_inline]] inline void by_sixteen(std::size_t n, Step&& step) {
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) step(i, static_cast<__mmask16>(0xFFFF));
    if (i < n) step(i, first_lanes(n - i));
}

[[gnu::always_inline]] inline __m512 get(const float* x, __mmask16 m) noexcept {
    return _mm512_maskz_loadu_ps(m, x);
}

[[gnu::always_inline]] inline void put(float* y, __mmask16 m, __m512 v) noexcept {
    _mm512_mask_storeu_ps(y, m, v);
}

template <class Formula>
[[gnu::always_inline]] inline void map(const float* gate, const float* up, float* y, std::size_t n, Formula&& f) {
    if (up != nullptr)
        by_sixteen(n, [&](std::size_t i, __mmask16 m) {
            put(y + i, m, _mm512_mul_ps(f(L16{get(gate + i, m)}).v, get(up + i, m)));
        });
    else
        by_sixteen(n, [&](std::size_t i, __mmask16 m) { put(y + i, m, f(L16{get(gate + i, m)}).v); });
}

}  // namespace

void norm_row(NormKind kind, const float* x, const float* w, const float* b, float eps, std::size_t n, float* y,
              float* stats) {
    if (kind == NormKind::none) {
        for (std::size_t i = 0; i < n; ++i) y[i] = x[i];
        return;
    }
    const auto count = static_cast<float>(n);
    float mean = 0;
    if (kind == NormKind::layer) {
        __m512 lanes = _mm512_setzero_ps();
        by_sixteen(n, [&](std::size_t i, __mmask16 m) { lanes = _mm512_add_ps(lanes, get(x + i, m)); });
        mean = tree16(lanes) / count;
    }
    const __m512 mean16 = _mm512_set1_ps(mean);
    __m512 lanes = _mm512_setzero_ps();
    by_sixteen(n, [&](std::size_t i, __mmask16 m) {
        const __m512 d = _mm512_maskz_sub_ps(m, get(x + i, m), mean16);
        lanes = _mm512_fmadd_ps(d, d, lanes);
    });
    const float inverse = 1.0F / std::sqrt(tree16(lanes) / count + eps);
    const __m512 inverse16 = _mm512_set1_ps(inverse);
    by_sixteen(n, [&](std::size_t i, __mmask16 m) {
        __m512 v = _mm512_mul_ps(_mm512_sub_ps(get(x + i, m), mean16), inverse16);
        if (w != nullptr) v = _mm512_mul_ps(v, get(w + i, m));
        if (b != nullptr) v = _mm512_add_ps(v, get(b + i, m));
        put(y + i, m, v);
    });
    if (stats != nullptr) {
        stats[0] = mean;
        stats[1] = inverse;
    }
}

void activate(Activation act, const float* gate, const float* up, float* y, std::size_t n) {
    switch (act) {
        case Activation::relu:
            return map(gate, up, y, n, [](L16 v) { return formula::relu_of(v); });
        case Activation::silu:
            return map(gate, up, y, n, [](L16 v) { return formula::silu_of(v); });
        case Activation::gelu_tanh:
            return map(gate, up, y, n, [](L16 v) { return formula::gelu_tanh_of(v); });
        case Activation::gelu_erf:
            return map(gate, up, y, n, [](L16 v) { return formula::gelu_erf_of(v); });
        case Activation::quick_gelu:
            return map(gate, up, y, n, [](L16 v) { return formula::quick_gelu_of(v); });
        case Activation::none:
            break;
    }
    map(gate, up, y, n, [](L16 v) { return v; });
}

void xielu(const XieluShape& s, const float* x, float* y, std::size_t n) {
    const auto p = L16::set(s.alpha_p), q = L16::set(s.alpha_n), beta = L16::set(s.beta), eps = L16::set(s.eps);
    map(x, nullptr, y, n, [=](L16 v) { return formula::xielu_of(v, p, q, beta, eps); });
}

void clamped_glu(const ClampedGlu& s, const float* gate, const float* up, float* y, std::size_t n) {
    const auto alpha = L16::set(s.alpha), limit = L16::set(s.limit);
    by_sixteen(n, [&](std::size_t i, __mmask16 m) {
        put(y + i, m, formula::clamped_glu_of(L16{get(gate + i, m)}, L16{get(up + i, m)}, alpha, limit).v);
    });
}

void add(const float* a, const float* b, float* y, std::size_t n) {
    by_sixteen(n, [&](std::size_t i, __mmask16 m) { put(y + i, m, _mm512_add_ps(get(a + i, m), get(b + i, m))); });
}

void add_scaled(float s, const float* x, float* y, std::size_t n) {
    const __m512 s16 = _mm512_set1_ps(s);
    by_sixteen(n,
               [&](std::size_t i, __mmask16 m) { put(y + i, m, _mm512_fmadd_ps(s16, get(x + i, m), get(y + i, m))); });
}

void scale(float s, float* x, std::size_t n) {
    const __m512 s16 = _mm512_set1_ps(s);
    by_sixteen(n, [&](std::size_t i, __mmask16 m) { put(x + i, m, _mm512_mul_ps(get(x + i, m), s16)); });
}

void rope(float* head, const float* cs, int n_dims, bool interleaved) {
    const auto half = static_cast<std::size_t>(n_dims / 2);
    if (!interleaved)
        return by_sixteen(half, [&](std::size_t i, __mmask16 m) {
            const __m512 a = get(head + i, m), b = get(head + half + i, m);
            const __m512 c = get(cs + i, m), s = get(cs + half + i, m);
            put(head + i, m, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
            put(head + half + i, m, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
        });
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    by_sixteen(2 * half, [&](std::size_t i, __mmask16 m) {
        const __mmask16 pairs = first_lanes(half - i / 2 < 8 ? half - i / 2 : 8);
        const __m512 v = get(head + i, m);
        const __m512 c = _mm512_permutexvar_ps(twice, get(cs + i / 2, pairs));
        const __m512 s = _mm512_permutexvar_ps(twice, get(cs + half + i / 2, pairs));
        put(head + i, m, _mm512_fmaddsub_ps(v, c, _mm512_mul_ps(_mm512_permute_ps(v, 0xB1), s)));
    });
}

std::size_t argmax(const float* x, std::size_t n) {
    __m512 best = _mm512_set1_ps(kMinusInfinity);
    __m512i where = _mm512_setzero_si512();
    __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    by_sixteen(n, [&](std::size_t i, __mmask16 m) {
        const __m512 v = get(x + i, m);
        const auto above = static_cast<__mmask16>(_mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) & m);
        best = _mm512_mask_mov_ps(best, above, v);
        where = _mm512_mask_mov_epi32(where, above, index);
        index = _mm512_add_epi32(index, _mm512_set1_epi32(16));
    });
    alignas(64) float values[16];
    alignas(64) std::uint32_t places[16];
    _mm512_store_ps(values, best);
    _mm512_store_si512(places, where);
    float value = kMinusInfinity;
    std::size_t at = 0;
    for (int lane = 0; lane < 16; ++lane)
        if (values[lane] > value || (values[lane] == value && value > kMinusInfinity && places[lane] < at)) {
            value = values[lane];
            at = places[lane];
        }
    return at;
}

float max_value(const float* x, std::size_t n) {
    __m512 best = _mm512_set1_ps(kMinusInfinity);
    // The second operand is kept where a comparison fails, so NaN never enters.
    by_sixteen(n, [&](std::size_t i, __mmask16 m) {
        best = _mm512_max_ps(_mm512_mask_loadu_ps(_mm512_set1_ps(kMinusInfinity), m, x + i), best);
    });
    return largest(best);
}

double exp_sum(const float* x, float max, std::size_t n, float* y) {
    const L16 max16 = L16::set(max);
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
    by_sixteen(n, [&](std::size_t i, __mmask16 m) {
        const __m512 e = _mm512_maskz_mov_ps(m, formula::exp_of(L16{get(x + i, m)} - max16).v);
        low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(e)));
        high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(e, 1)));
        if (y != nullptr) put(y + i, m, e);
    });
    const __m512d eight = _mm512_add_pd(low, high);
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

void softcap(float cap, float* x, std::size_t n) {
    const L16 cap16 = L16::set(cap);
    map(x, nullptr, x, n, [cap16](L16 v) { return formula::softcap_of(v, cap16); });
}

}  // namespace freehold::avx512
