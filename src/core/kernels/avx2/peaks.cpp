// Loops that do nothing but the arithmetic of the kernels, in registers, to measure what the chip gives at most.
// The asm lines only make the compiler believe that registers change, so that it neither hoists nor drops the work.
#include "lanes.h"
#include "table.h"

namespace freehold::avx2 {
namespace {

[[gnu::always_inline]] inline void touch(__m256& v) noexcept {
    __asm__ volatile("" : "+x"(v));
}
[[gnu::always_inline]] inline void touch(__m256i& v) noexcept {
    __asm__ volatile("" : "+x"(v));
}

}  // namespace

double peak_f32(std::size_t rounds) {
    constexpr int kChains = 12;
    __m256 acc[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = _mm256_setzero_ps();
    __m256 x = _mm256_set1_ps(1.0F), w = _mm256_set1_ps(0.5F);
    touch(x);
    touch(w);
    for (std::size_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
        for (int c = 0; c < kChains; ++c) {
            acc[c] = _mm256_fmadd_ps(x, w, acc[c]);
            touch(acc[c]);
        }
    return static_cast<double>(rounds) * kChains * 8 * 2;
}

// As a block of 4-bit codes: eight products of pairs, added in 16 bits, widened once.
double peak_int8(std::size_t rounds) {
    constexpr int kChains = 6;
    __m256i sum[kChains];
#pragma GCC unroll 6
    for (int c = 0; c < kChains; ++c) sum[c] = _mm256_setzero_si256();
    __m256i w = _mm256_set1_epi8(3), a = _mm256_set1_epi8(5);
    const __m256i ones = _mm256_set1_epi16(1);
    touch(w);
    touch(a);
    for (std::size_t i = 0; i < rounds; ++i) {
        __m256i pairs[kChains];
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g)
#pragma GCC unroll 6
            for (int c = 0; c < kChains; ++c) {
                __m256i product = _mm256_maddubs_epi16(w, a);
                touch(product);
                pairs[c] = g == 0 ? product : _mm256_add_epi16(pairs[c], product);
            }
#pragma GCC unroll 6
        for (int c = 0; c < kChains; ++c) {
            sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(pairs[c], ones));
            touch(sum[c]);
        }
    }
    return static_cast<double>(rounds) * kChains * 8 * 32 * 2;
}

// There is no BF16 instruction here: a pair is taken apart and multiplied as two floats.
double peak_bf16(std::size_t rounds) {
    constexpr int kChains = 10;
    __m256 acc[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = _mm256_setzero_ps();
    __m256i pair = _mm256_set1_epi32(0x3F003F00);
    __m256 x = _mm256_set1_ps(1.0F);
    touch(x);
    for (std::size_t i = 0; i < rounds; ++i) {
        touch(pair);
        const __m256 odd =
            _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U))));
        const __m256 even = _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
#pragma GCC unroll 10
        for (int c = 0; c < kChains; ++c) {
            acc[c] = _mm256_fmadd_ps(x, odd, acc[c]);
            acc[c] = _mm256_fmadd_ps(x, even, acc[c]);
            touch(acc[c]);
        }
    }
    return static_cast<double>(rounds) * kChains * 2 * 8 * 2;
}

std::uint64_t peak_read(const std::byte* memory, std::size_t bytes) {
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    const auto* p = reinterpret_cast<const __m256i*>(memory);
    for (std::size_t i = 0; i + 8 <= bytes / 32; i += 8, p += 8)
        for (int lane = 0; lane < 4; ++lane)
            sum[lane] = _mm256_add_epi64(
                sum[lane], _mm256_xor_si256(_mm256_load_si256(p + lane), _mm256_load_si256(p + lane + 4)));
    const __m256i all = _mm256_add_epi64(_mm256_add_epi64(sum[0], sum[1]), _mm256_add_epi64(sum[2], sum[3]));
    return static_cast<std::uint64_t>(_mm256_extract_epi64(all, 0));
}

}  // namespace freehold::avx2
