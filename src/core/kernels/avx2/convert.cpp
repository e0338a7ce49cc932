// Activations to q8 blocks, and halves to floats and back.
// Rule 3 of docs/numerics.md; the bits of scalar_products.cpp and of tensor's conversions.
#include <cstring>

#include "lanes.h"
#include "table.h"

namespace freehold::avx2 {
namespace {

[[gnu::always_inline]] inline int sum8(__m256i v) noexcept {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}

[[gnu::always_inline]] inline std::uint32_t largest_bits(__m256i v) noexcept {
    const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xB1))));
}

void quantize_block(const float* x, const Q8Rows& out, std::size_t at, std::int8_t* codes) noexcept {
    const __m256 v0 = _mm256_loadu_ps(x), v1 = _mm256_loadu_ps(x + 8), v2 = _mm256_loadu_ps(x + 16),
                 v3 = _mm256_loadu_ps(x + 24);
    const __m256 sign = _mm256_set1_ps(-0.0F);
    // Magnitudes compare as integers, which keeps NaN on top.
    const auto magnitude = [sign](__m256 v) { return _mm256_castps_si256(_mm256_andnot_ps(sign, v)); };
    const std::uint32_t amax_bits = largest_bits(_mm256_max_epi32(_mm256_max_epi32(magnitude(v0), magnitude(v1)),
                                                                  _mm256_max_epi32(magnitude(v2), magnitude(v3))));
    float amax;
    std::memcpy(&amax, &amax_bits, sizeof amax);
    const bool finite = amax_bits < 0x7F800000U;
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
    const __m256 inverse = _mm256_set1_ps(127.0F / amax);
    const __m256i c0 = _mm256_cvtps_epi32(_mm256_mul_ps(v0, inverse)),
                  c1 = _mm256_cvtps_epi32(_mm256_mul_ps(v1, inverse));
    const __m256i c2 = _mm256_cvtps_epi32(_mm256_mul_ps(v2, inverse)),
                  c3 = _mm256_cvtps_epi32(_mm256_mul_ps(v3, inverse));
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(c0, c1), _mm256_packs_epi32(c2, c3));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes),
                        _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    const int half0 = sum8(_mm256_add_epi32(c0, c1)), half1 = sum8(_mm256_add_epi32(c2, c3));
    out.scale[at] = scale;
    out.sum[at] = half0 + half1;
    out.half[2 * at] = static_cast<std::int16_t>(half0);
    out.half[2 * at + 1] = static_cast<std::int16_t>(half1);
    out.fsum[at] = static_cast<float>(half0 + half1) * scale;
}

}  // namespace

void quantize_row(const float* x, std::size_t K, const Q8Rows& out, std::size_t t) {
    const std::size_t n_blocks = out.padded_k / kQBlock;
    std::int8_t* codes = out.codes + t * out.padded_k;
    std::size_t b = 0;
    for (; (b + 1) * kQBlock <= K; ++b) quantize_block(x + b * kQBlock, out, t * n_blocks + b, codes + b * kQBlock);
    for (; b < n_blocks; ++b) {
        float padded[kQBlock] = {};
        if (b * kQBlock < K) std::memcpy(padded, x + b * kQBlock, (K - b * kQBlock) * sizeof(float));
        quantize_block(padded, out, t * n_blocks + b, codes + b * kQBlock);
    }
}

void to_bf16(const float* x, std::uint16_t* y, std::size_t n) {
    std::size_t i = 0;
    const auto narrow = [](__m256i bits) {
        const __m256i upper = _mm256_srli_epi32(bits, 16);
        const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
        const __m256i rounded =
            _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd), 16);
        const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
        const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF));
        const __m256i nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7F800000));
        return _mm256_blendv_epi8(rounded, quiet, nan);
    };
    for (; i + 16 <= n; i += 16) {
        const __m256i a = narrow(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i)));
        const __m256i b = narrow(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i + 8)));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i),
                            _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xD8));
    }
    for (; i < n; ++i) y[i] = freehold::f32_to_bf16(x[i]);
}

void f16_to_f32(const std::uint16_t* x, float* y, std::size_t n) {
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
    for (; i < n; ++i) y[i] = freehold::f16_to_f32(x[i]);
}

void f32_to_f16(const float* x, std::uint16_t* y, std::size_t n) {
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; ++i) y[i] = freehold::f32_to_f16(x[i]);
}

}  // namespace freehold::avx2
