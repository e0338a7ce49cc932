// Activations to q8 blocks, eight blocks at a time, and halves to floats and back.
// Rule 3 of docs/numerics.md; the bits of scalar_products.cpp and of tensor's conversions.
#include <cstring>

#include "lanes.h"
#include "table.h"

namespace freehold::avx512 {
namespace {

constexpr std::size_t kTogether = 8;  // blocks whose magnitudes and sums are reduced as one

// Magnitudes compare as integers, which keeps NaN on top.
[[gnu::always_inline]] inline __m512i magnitude(__m512 v) noexcept {
    return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7FFFFFFF));
}

// Largest lane of each of eight registers, in order: halves, quarters, pairs and lanes meet as they become shorter.
[[gnu::always_inline]] inline __m256i largest_of_each(const __m512i (&v)[kTogether]) noexcept {
    __m512i four[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
        __m512i two[2];  // [a8 | b8], [c8 | d8]
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j) {
            const __m512i a = v[4 * i + 2 * j], b = v[4 * i + 2 * j + 1];
            two[j] = _mm512_max_epi32(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE));
        }
        four[i] = _mm512_max_epi32(_mm512_shuffle_i64x2(two[0], two[1], 0x88),  // [a4 | b4 | c4 | d4]
                                   _mm512_shuffle_i64x2(two[0], two[1], 0xDD));
    }
    const __m512i pairs = _mm512_max_epi32(_mm512_unpacklo_epi64(four[0], four[1]),  // [a2 e2 | b2 f2 | ...]
                                           _mm512_unpackhi_epi64(four[0], four[1]));
    const __m512i ones = _mm512_max_epi32(pairs, _mm512_shuffle_epi32(pairs, _MM_PERM_CDAB));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, ones));
}

// Sums of the sixteen codes of each half of eight blocks, in order; c[i] holds blocks 2i and 2i + 1.
[[gnu::always_inline]] inline __m512i half_sums(const __m512i (&c)[kTogether / 2]) noexcept {
    const __m512i ones8 = _mm512_set1_epi8(1), ones16 = _mm512_set1_epi16(1);
    __m512i fours[4];  // lane l (of 128 bits): sums of four codes of half 4i + l
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) fours[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones8, c[i]);
    const __m512i p01 = _mm512_madd_epi16(_mm512_packs_epi32(fours[0], fours[1]), ones16);
    const __m512i p23 = _mm512_madd_epi16(_mm512_packs_epi32(fours[2], fours[3]), ones16);
    const __m512i sums = _mm512_madd_epi16(_mm512_packs_epi32(p01, p23), ones16);  // lane l, element i: half 4i + l
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), sums);
}

// A block that is zero, tiny, not finite, or alone.
void quantize_block(const float* x, const Q8Rows& out, std::size_t at, std::int8_t* codes) noexcept {
    const __m512 v0 = _mm512_loadu_ps(x), v1 = _mm512_loadu_ps(x + 16);
    alignas(64) std::int32_t lanes[16];
    _mm512_store_si512(lanes, _mm512_max_epi32(magnitude(v0), magnitude(v1)));
    std::int32_t amax_bits = 0;
    for (const std::int32_t lane : lanes) amax_bits = lane > amax_bits ? lane : amax_bits;
    float amax;
    std::memcpy(&amax, &amax_bits, sizeof amax);
    const bool finite = amax_bits < 0x7F800000;
    if (!finite || amax < kQ8Smallest) {
        std::memset(codes, 0, kQBlock);
        const float scale = finite ? 0.0F : __builtin_nanf("");
        out.scale[at] = scale;
        out.sum[at] = 0;
        out.half[2 * at] = out.half[2 * at + 1] = 0;
        out.fsum[at] = 0.0F * scale;
        return;
    }
    const float scale = amax / 127.0F;
    const __m512 inverse = _mm512_set1_ps(127.0F / amax);
    const __m128i c0 = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(v0, inverse)));
    const __m128i c1 = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(v1, inverse)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), c0);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16), c1);
    int half[2] = {0, 0};
    for (int i = 0; i < kQBlock; ++i) half[i / 16] += codes[i];
    out.scale[at] = scale;
    out.sum[at] = half[0] + half[1];
    out.half[2 * at] = static_cast<std::int16_t>(half[0]);
    out.half[2 * at + 1] = static_cast<std::int16_t>(half[1]);
    out.fsum[at] = static_cast<float>(half[0] + half[1]) * scale;
}

// Eight blocks. False, and nothing written, where one of them is not plain (see quantize_block).
bool quantize_eight(const float* x, const Q8Rows& out, std::size_t at, std::int8_t* codes) noexcept {
    __m512i largest[kTogether];
#pragma GCC unroll 8
    for (std::size_t b = 0; b < kTogether; ++b)
        largest[b] =
            _mm512_max_epi32(magnitude(_mm512_loadu_ps(x + 32 * b)), magnitude(_mm512_loadu_ps(x + 32 * b + 16)));
    const __m256i bits = largest_of_each(largest);
    const __m256 amax = _mm256_castsi256_ps(bits);
    const __m256i infinity = _mm256_set1_epi32(0x7F800000);
    const __m256 plain = _mm256_and_ps(_mm256_cmp_ps(amax, _mm256_set1_ps(kQ8Smallest), _CMP_GE_OQ),
                                       _mm256_castsi256_ps(_mm256_cmpgt_epi32(infinity, bits)));
    if (_mm256_movemask_ps(plain) != 0xFF) return false;
    const __m256 scale = _mm256_div_ps(amax, _mm256_set1_ps(127.0F));
    alignas(32) float inverse[kTogether];
    _mm256_store_ps(inverse, _mm256_div_ps(_mm256_set1_ps(127.0F), amax));
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 2 * kTogether; ++i) {
        const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x + 16 * i), _mm512_set1_ps(inverse[i / 2]));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16 * i), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
    }
    __m512i c[kTogether / 2];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kTogether / 2; ++i) c[i] = load(codes + 64 * i);
    const __m256i halves = _mm512_cvtepi32_epi16(half_sums(c));
    const __m256i sums = _mm256_madd_epi16(halves, _mm256_set1_epi16(1));
    _mm256_storeu_ps(out.scale + at, scale);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.half + 2 * at), halves);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.sum + at), sums);
    _mm256_storeu_ps(out.fsum + at, _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale));
    return true;
}

}  // namespace

void quantize_row(const float* x, std::size_t K, const Q8Rows& out, std::size_t t) {
    const std::size_t n_blocks = out.padded_k / kQBlock, whole = K / kQBlock;
    std::int8_t* codes = out.codes + t * out.padded_k;
    for (std::size_t b = 0; b < whole;) {
        if (b + kTogether <= whole && quantize_eight(x + b * kQBlock, out, t * n_blocks + b, codes + b * kQBlock)) {
            b += kTogether;
            continue;
        }
        quantize_block(x + b * kQBlock, out, t * n_blocks + b, codes + b * kQBlock);
        ++b;
    }
    for (std::size_t b = whole; b < n_blocks; ++b) {
        float padded[kQBlock] = {};
        if (b * kQBlock < K) std::memcpy(padded, x + b * kQBlock, (K - b * kQBlock) * sizeof(float));
        quantize_block(padded, out, t * n_blocks + b, codes + b * kQBlock);
    }
}

// Not the chip's own conversion: that one flushes denormals.
void to_bf16(const float* x, std::uint16_t* y, std::size_t n) {
    for (std::size_t i = 0; i < n; i += 16) {
        const __mmask16 m = first_lanes(n - i < 16 ? n - i : 16);
        const __m512i bits = _mm512_maskz_loadu_epi32(m, x + i);
        const __m512i upper = _mm512_srli_epi32(bits, 16);
        const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
        const __m512i rounded =
            _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd), 16);
        const __m512i quiet = _mm512_or_si512(upper, _mm512_set1_epi32(0x40));
        const __m512i size = _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF));
        const __mmask16 nan = _mm512_cmpgt_epi32_mask(size, _mm512_set1_epi32(0x7F800000));
        _mm256_mask_storeu_epi16(y + i, m, _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, quiet)));
    }
}

void f16_to_f32(const std::uint16_t* x, float* y, std::size_t n) {
    for (std::size_t i = 0; i < n; i += 16) {
        const __mmask16 m = first_lanes(n - i < 16 ? n - i : 16);
        _mm512_mask_storeu_ps(y + i, m, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, x + i)));
    }
}

void f32_to_f16(const float* x, std::uint16_t* y, std::size_t n) {
    for (std::size_t i = 0; i < n; i += 16) {
        const __mmask16 m = first_lanes(n - i < 16 ? n - i : 16);
        _mm256_mask_storeu_epi16(y + i, m, _mm512_cvtps_ph(_mm512_maskz_loadu_ps(m, x + i), _MM_FROUND_TO_NEAREST_INT));
    }
}

}  // namespace freehold::avx512
