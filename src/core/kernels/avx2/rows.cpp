// Rows: norms, activations, rotary, and the reductions that sampling needs.
// Ends of rows use masked loads whose absent lanes add nothing.
#include <cmath>
#include <limits>

#include "lanes.h"
#include "table.h"

namespace freehold::avx2 {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Calls full(i) for whole groups of eight and part(i, mask) for what is left.
template <class Full, class Part>
[[gnu::always_inline]] inline void by_eight(std::size_t n, Full&& full, Part&& part) {
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) full(i);
    if (i < n) part(i, first_lanes(static_cast<int>(n - i)));
}

// Calls take(lane, values) with eight values at a time; lane 0 holds indices 0-7 mod 16, lane 1 the others.
template <class Take>
[[gnu::always_inline]] inline float sum16(const float* x, std::size_t n, Take&& take) {
    __m256 lanes[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        lanes[0] = take(lanes[0], _mm256_loadu_ps(x + i), _mm256_set1_epi32(-1));
        lanes[1] = take(lanes[1], _mm256_loadu_ps(x + i + 8), _mm256_set1_epi32(-1));
    }
    for (int lane = 0; i < n; i += 8, ++lane) {
        const __m256i mask = first_lanes(n - i < 8 ? static_cast<int>(n - i) : 8);
        lanes[lane] = take(lanes[lane], _mm256_maskload_ps(x + i, mask), mask);
    }
    return tree16(lanes[0], lanes[1]);
}

template <class Formula>
[[gnu::always_inline]] inline void map(const float* gate, const float* up, float* y, std::size_t n, Formula&& f) {
    if (up != nullptr)
        by_eight(
            n,
            [&](std::size_t i) {
                _mm256_storeu_ps(y + i, _mm256_mul_ps(f(F8{_mm256_loadu_ps(gate + i)}).v, _mm256_loadu_ps(up + i)));
            },
            [&](std::size_t i, __m256i m) {
                const __m256 a = f(F8{_mm256_maskload_ps(gate + i, m)}).v;
                _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(a, _mm256_maskload_ps(up + i, m)));
            });
    else
        by_eight(
            n, [&](std::size_t i) { _mm256_storeu_ps(y + i, f(F8{_mm256_loadu_ps(gate + i)}).v); },
            [&](std::size_t i, __m256i m) { _mm256_maskstore_ps(y + i, m, f(F8{_mm256_maskload_ps(gate + i, m)}).v); });
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
    if (kind == NormKind::layer)
        mean = sum16(x, n, [](__m256 lane, __m256 v, __m256i) { return _mm256_add_ps(lane, v); }) / count;
    const __m256 mean8 = _mm256_set1_ps(mean);
    const float squares = sum16(x, n, [mean8](__m256 lane, __m256 v, __m256i mask) {
        const __m256 d = _mm256_and_ps(_mm256_sub_ps(v, mean8), _mm256_castsi256_ps(mask));
        return _mm256_fmadd_ps(d, d, lane);
    });
    const float inverse = 1.0F / std::sqrt(squares / count + eps);
    const __m256 inverse8 = _mm256_set1_ps(inverse);
    by_eight(
        n,
        [&](std::size_t i) {
            __m256 v = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), mean8), inverse8);
            if (w != nullptr) v = _mm256_mul_ps(v, _mm256_loadu_ps(w + i));
            if (b != nullptr) v = _mm256_add_ps(v, _mm256_loadu_ps(b + i));
            _mm256_storeu_ps(y + i, v);
        },
        [&](std::size_t i, __m256i m) {
            __m256 v = _mm256_mul_ps(_mm256_sub_ps(_mm256_maskload_ps(x + i, m), mean8), inverse8);
            if (w != nullptr) v = _mm256_mul_ps(v, _mm256_maskload_ps(w + i, m));
            if (b != nullptr) v = _mm256_add_ps(v, _mm256_maskload_ps(b + i, m));
            _mm256_maskstore_ps(y + i, m, v);
        });
    if (stats != nullptr) {
        stats[0] = mean;
        stats[1] = inverse;
    }
}

void activate(Activation act, const float* gate, const float* up, float* y, std::size_t n) {
    switch (act) {
        case Activation::relu:
            return map(gate, up, y, n, [](F8 v) { return formula::relu_of(v); });
        case Activation::silu:
            return map(gate, up, y, n, [](F8 v) { return formula::silu_of(v); });
        case Activation::gelu_tanh:
            return map(gate, up, y, n, [](F8 v) { return formula::gelu_tanh_of(v); });
        case Activation::gelu_erf:
            return map(gate, up, y, n, [](F8 v) { return formula::gelu_erf_of(v); });
        case Activation::quick_gelu:
            return map(gate, up, y, n, [](F8 v) { return formula::quick_gelu_of(v); });
        case Activation::none:
            break;
    }
    map(gate, up, y, n, [](F8 v) { return v; });
}

void xielu(const XieluShape& s, const float* x, float* y, std::size_t n) {
    const auto p = F8::set(s.alpha_p), q = F8::set(s.alpha_n), beta = F8::set(s.beta), eps = F8::set(s.eps);
    map(x, nullptr, y, n, [=](F8 v) { return formula::xielu_of(v, p, q, beta, eps); });
}

void clamped_glu(const ClampedGlu& s, const float* gate, const float* up, float* y, std::size_t n) {
    const auto alpha = F8::set(s.alpha), limit = F8::set(s.limit);
    by_eight(
        n,
        [&](std::size_t i) {
            const F8 g{_mm256_loadu_ps(gate + i)}, u{_mm256_loadu_ps(up + i)};
            _mm256_storeu_ps(y + i, formula::clamped_glu_of(g, u, alpha, limit).v);
        },
        [&](std::size_t i, __m256i m) {
            const F8 g{_mm256_maskload_ps(gate + i, m)}, u{_mm256_maskload_ps(up + i, m)};
            _mm256_maskstore_ps(y + i, m, formula::clamped_glu_of(g, u, alpha, limit).v);
        });
}

void add(const float* a, const float* b, float* y, std::size_t n) {
    by_eight(
        n,
        [&](std::size_t i) { _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i))); },
        [&](std::size_t i, __m256i m) {
            _mm256_maskstore_ps(y + i, m, _mm256_add_ps(_mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m)));
        });
}

void add_scaled(float s, const float* x, float* y, std::size_t n) {
    const __m256 s8 = _mm256_set1_ps(s);
    by_eight(
        n,
        [&](std::size_t i) {
            _mm256_storeu_ps(y + i, _mm256_fmadd_ps(s8, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
        },
        [&](std::size_t i, __m256i m) {
            _mm256_maskstore_ps(y + i, m,
                                _mm256_fmadd_ps(s8, _mm256_maskload_ps(x + i, m), _mm256_maskload_ps(y + i, m)));
        });
}

void scale(float s, float* x, std::size_t n) {
    const __m256 s8 = _mm256_set1_ps(s);
    by_eight(
        n, [&](std::size_t i) { _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), s8)); },
        [&](std::size_t i, __m256i m) {
            _mm256_maskstore_ps(x + i, m, _mm256_mul_ps(_mm256_maskload_ps(x + i, m), s8));
        });
}

void rope(float* head, const float* cs, int n_dims, bool interleaved) {
    const int half = n_dims / 2;
    int i = 0;
    if (interleaved) {
        const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
        for (; i + 4 <= half; i += 4) {
            const __m256 v = _mm256_loadu_ps(head + 2 * i);
            const __m256 c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cs + i)), twice);
            const __m256 s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cs + half + i)), twice);
            const __m256 swapped = _mm256_permute_ps(v, 0xB1);
            _mm256_storeu_ps(head + 2 * i, _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(swapped, s)));
        }
    } else {
        for (; i + 8 <= half; i += 8) {
            const __m256 a = _mm256_loadu_ps(head + i), b = _mm256_loadu_ps(head + half + i);
            const __m256 c = _mm256_loadu_ps(cs + i), s = _mm256_loadu_ps(cs + half + i);
            _mm256_storeu_ps(head + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
            _mm256_storeu_ps(head + half + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
        }
    }
    for (; i < half; ++i) {
        float& a = head[interleaved ? 2 * i : i];
        float& b = head[interleaved ? 2 * i + 1 : i + half];
        const float c = cs[i], s = cs[half + i];
        const float rotated_a = std::fma(a, c, -(b * s)), rotated_b = std::fma(b, c, a * s);
        a = rotated_a;
        b = rotated_b;
    }
}

std::size_t argmax(const float* x, std::size_t n) {
    __m256 best = _mm256_set1_ps(kMinusInfinity);
    __m256i where = _mm256_setzero_si256(), index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 v = _mm256_loadu_ps(x + i);
        const __m256 above = _mm256_cmp_ps(v, best, _CMP_GT_OQ);
        best = _mm256_blendv_ps(best, v, above);
        where = _mm256_blendv_epi8(where, index, _mm256_castps_si256(above));
        index = _mm256_add_epi32(index, _mm256_set1_epi32(8));
    }
    alignas(32) float values[8];
    alignas(32) std::uint32_t places[8];
    _mm256_store_ps(values, best);
    _mm256_store_si256(reinterpret_cast<__m256i*>(places), where);
    float value = kMinusInfinity;
    std::size_t at = 0;
    for (int lane = 0; lane < 8; ++lane)
        if (values[lane] > value || (values[lane] == value && value > kMinusInfinity && places[lane] < at)) {
            value = values[lane];
            at = places[lane];
        }
    for (; i < n; ++i)
        if (x[i] > value) {
            value = x[i];
            at = i;
        }
    return at;
}

float max_value(const float* x, std::size_t n) {
    __m256 best = _mm256_set1_ps(kMinusInfinity);
    std::size_t i = 0;
    // The second operand is kept where a comparison fails, so NaN never enters.
    for (; i + 8 <= n; i += 8) best = _mm256_max_ps(_mm256_loadu_ps(x + i), best);
    float value = largest(best);
    for (; i < n; ++i)
        if (x[i] > value) value = x[i];
    return value;
}

double exp_sum(const float* x, float max, std::size_t n, float* y) {
    const F8 max8 = F8::set(max);
    __m256d lanes[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
    std::size_t i = 0;
    const auto take = [&](int lane, __m256 e) {
        lanes[lane] = _mm256_add_pd(lanes[lane], _mm256_cvtps_pd(_mm256_castps256_ps128(e)));
        lanes[lane + 1] = _mm256_add_pd(lanes[lane + 1], _mm256_cvtps_pd(_mm256_extractf128_ps(e, 1)));
    };
    for (; i + 16 <= n; i += 16)
        for (int half = 0; half < 2; ++half) {
            const __m256 e = formula::exp_of(F8{_mm256_loadu_ps(x + i + 8 * half)} - max8).v;
            take(2 * half, e);
            if (y != nullptr) _mm256_storeu_ps(y + i + 8 * half, e);
        }
    for (int half = 0; i < n; i += 8, ++half) {
        const __m256i mask = first_lanes(n - i < 8 ? static_cast<int>(n - i) : 8);
        const __m256 e =
            _mm256_and_ps(formula::exp_of(F8{_mm256_maskload_ps(x + i, mask)} - max8).v, _mm256_castsi256_ps(mask));
        take(2 * half, e);
        if (y != nullptr) _mm256_maskstore_ps(y + i, mask, e);
    }
    const __m256d low = _mm256_add_pd(lanes[0], lanes[2]), high = _mm256_add_pd(lanes[1], lanes[3]);
    const __m256d four = _mm256_add_pd(low, high);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

void softcap(float cap, float* x, std::size_t n) {
    const F8 cap8 = F8::set(cap);
    map(x, nullptr, x, n, [cap8](F8 v) { return formula::softcap_of(v, cap8); });
}

}  // namespace freehold::avx2
