// Sixteen floats as a lane type for functions.h, and the small moves that the AVX-512 files share.
// Included only by files that are compiled for AVX-512 F, BW, DQ, VL and VNNI.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "functions.h"

namespace freehold::avx512 {

struct L16 {
    __m512 v;
    [[gnu::always_inline]] static L16 set(float x) noexcept { return {_mm512_set1_ps(x)}; }
};

[[gnu::always_inline]] inline L16 operator+(L16 a, L16 b) noexcept {
    return {_mm512_add_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline L16 operator-(L16 a, L16 b) noexcept {
    return {_mm512_sub_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline L16 operator*(L16 a, L16 b) noexcept {
    return {_mm512_mul_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline L16 operator/(L16 a, L16 b) noexcept {
    return {_mm512_div_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline L16 fmadd(L16 a, L16 b, L16 c) noexcept {
    return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
[[gnu::always_inline]] inline __mmask16 less(L16 a, L16 b) noexcept {
    return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ);
}
[[gnu::always_inline]] inline L16 select(__mmask16 mask, L16 yes, L16 no) noexcept {
    return {_mm512_mask_blend_ps(mask, no.v, yes.v)};
}
[[gnu::always_inline]] inline L16 abs(L16 a) noexcept {
    return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x7FFFFFFF)))};
}
[[gnu::always_inline]] inline L16 copysign(L16 magnitude, L16 sign) noexcept {
    constexpr int kFirstPicks = 0xCA;  // second operand where the first has a bit, third elsewhere
    const __m512i low = _mm512_set1_epi32(0x7FFFFFFF);
    return {_mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(low, _mm512_castps_si512(magnitude.v), _mm512_castps_si512(sign.v), kFirstPicks))};
}

// 2^n as floats from n as integers, n in [-126, 127].
[[gnu::always_inline]] inline __m512 pow2(__m512i n) noexcept {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}

[[gnu::always_inline]] inline L16 scale_pow2(L16 p, L16 shifted) noexcept {
    const __m512i n =
        _mm512_sub_epi32(_mm512_castps_si512(shifted.v), _mm512_castps_si512(_mm512_set1_ps(formula::kMagic)));
    const __m512i first = _mm512_srai_epi32(n, 1);
    return {_mm512_mul_ps(_mm512_mul_ps(p.v, pow2(first)), pow2(_mm512_sub_epi32(n, first)))};
}

// The magic number has no low bits, so shifting leaves n in the exponent's place.
[[gnu::always_inline]] inline L16 scale_pow2_once(L16 p, L16 shifted) noexcept {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
    return {_mm512_mul_ps(p.v, _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3F800000))))};
}

// Asks for the line `ahead` bytes behind p; it may lie outside of what p points into, nothing is read.
[[gnu::always_inline]] inline void prefetch(const void* p, std::size_t ahead) noexcept {
    _mm_prefetch(reinterpret_cast<const char*>(reinterpret_cast<std::uintptr_t>(p) + ahead), _MM_HINT_T0);
}

// Lanes [0, n) set, for loads and stores at the end of a row; n in [0, 16].
[[gnu::always_inline]] inline __mmask16 first_lanes(std::size_t n) noexcept {
    return static_cast<__mmask16>((1U << n) - 1U);
}

[[gnu::always_inline]] inline __m512i load(const void* p) noexcept {
    return _mm512_loadu_si512(p);
}

// NUMERICS rule 5: the tree 8, 4, 2, 1.
[[gnu::always_inline]] inline float tree16(__m512 lanes) noexcept {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// Largest lane; NaN lanes are ignored where `x` is made by max operations that keep the second operand.
[[gnu::always_inline]] inline float largest(__m512 x) noexcept {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace freehold::avx512
