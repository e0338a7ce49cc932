// Eight floats as a lane type for functions.h, and the small moves that the AVX2 files share.
// Included only by files that are compiled for AVX2, FMA and F16C.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "functions.h"

namespace freehold::avx2 {

struct F8 {
    __m256 v;
    [[gnu::always_inline]] static F8 set(float x) noexcept { return {_mm256_set1_ps(x)}; }
};

[[gnu::always_inline]] inline F8 operator+(F8 a, F8 b) noexcept {
    return {_mm256_add_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline F8 operator-(F8 a, F8 b) noexcept {
    return {_mm256_sub_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline F8 operator*(F8 a, F8 b) noexcept {
    return {_mm256_mul_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline F8 operator/(F8 a, F8 b) noexcept {
    return {_mm256_div_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline F8 fmadd(F8 a, F8 b, F8 c) noexcept {
    return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
[[gnu::always_inline]] inline F8 less(F8 a, F8 b) noexcept {
    return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)};
}
[[gnu::always_inline]] inline F8 select(F8 mask, F8 yes, F8 no) noexcept {
    return {_mm256_blendv_ps(no.v, yes.v, mask.v)};
}
[[gnu::always_inline]] inline F8 abs(F8 a) noexcept {
    return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), a.v)};
}
[[gnu::always_inline]] inline F8 copysign(F8 magnitude, F8 sign) noexcept {
    const __m256 bit = _mm256_set1_ps(-0.0F);
    return {_mm256_or_ps(_mm256_andnot_ps(bit, magnitude.v), _mm256_and_ps(bit, sign.v))};
}

// 2^n as floats from n as integers, n in [-126, 127].
[[gnu::always_inline]] inline __m256 pow2(__m256i n) noexcept {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

[[gnu::always_inline]] inline F8 scale_pow2(F8 p, F8 shifted) noexcept {
    const __m256i n =
        _mm256_sub_epi32(_mm256_castps_si256(shifted.v), _mm256_castps_si256(_mm256_set1_ps(formula::kMagic)));
    const __m256i first = _mm256_srai_epi32(n, 1);
    return {_mm256_mul_ps(_mm256_mul_ps(p.v, pow2(first)), pow2(_mm256_sub_epi32(n, first)))};
}

// The magic number has no low bits, so shifting leaves n in the exponent's place.
[[gnu::always_inline]] inline F8 scale_pow2_once(F8 p, F8 shifted) noexcept {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23);
    return {_mm256_mul_ps(p.v, _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3F800000))))};
}

// Asks for the line `ahead` bytes behind p; it may lie outside of what p points into, nothing is read.
[[gnu::always_inline]] inline void prefetch(const void* p, std::size_t ahead) noexcept {
    _mm_prefetch(reinterpret_cast<const char*>(reinterpret_cast<std::uintptr_t>(p) + ahead), _MM_HINT_T0);
}

// Lanes [0, n) set, for loads and stores at the end of a row; n in [0, 8].
[[gnu::always_inline]] inline __m256i first_lanes(int n) noexcept {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// NUMERICS rule 5: lanes 0-7 and 8-15, then the tree 8, 4, 2, 1.
[[gnu::always_inline]] inline float tree16(__m256 low, __m256 high) noexcept {
    const __m256 eight = _mm256_add_ps(low, high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// Largest lane; NaN lanes are ignored where `x` is made by max operations that keep the left side.
[[gnu::always_inline]] inline float largest(__m256 x) noexcept {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace freehold::avx2
