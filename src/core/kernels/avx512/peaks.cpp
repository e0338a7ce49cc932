// Loops that do nothing but the arithmetic of the kernels, in registers, to measure what the chip gives at most.
// The asm lines only make the compiler believe that registers change, so that it neither hoists nor drops the work.
#include "lanes.h"
#include "table.h"

namespace freehold::avx512 {
namespace {

constexpr int kChains = 24;  // more than two pipes times the longest latency

template <class Vector>
[[gnu::always_inline]] inline void touch(Vector& v) noexcept {
    __asm__ volatile("" : "+v"(v));
}

}  // namespace

double peak_f32(std::size_t rounds) {
    __m512 acc[kChains];
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_setzero_ps();
    __m512 x = _mm512_set1_ps(1.0F), w = _mm512_set1_ps(0.5F);
    touch(x);
    touch(w);
    for (std::size_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
        for (int c = 0; c < kChains; ++c) {
            acc[c] = _mm512_fmadd_ps(x, w, acc[c]);
            touch(acc[c]);
        }
    return static_cast<double>(rounds) * kChains * 16 * 2;
}

double peak_int8(std::size_t rounds) {
    __m512i sum[kChains];
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_setzero_si512();
    __m512i w = _mm512_set1_epi8(3), a = _mm512_set1_epi8(5);
    touch(w);
    touch(a);
    for (std::size_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
        for (int c = 0; c < kChains; ++c) {
            sum[c] = _mm512_dpbusd_epi32(sum[c], w, a);
            touch(sum[c]);
        }
    return static_cast<double>(rounds) * kChains * 64 * 2;
}

// Without BF16 dots a pair is taken apart and multiplied as two floats.
double peak_bf16(std::size_t rounds) {
    __m512 acc[kChains];
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_setzero_ps();
    __m512i pair = _mm512_set1_epi32(0x3F003F00);
    __m512 x = _mm512_set1_ps(1.0F);
    touch(x);
    for (std::size_t i = 0; i < rounds; ++i) {
        touch(pair);
        const __m512 odd =
            _mm512_castsi512_ps(_mm512_and_si512(pair, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U))));
        const __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
#pragma GCC unroll 24
        for (int c = 0; c < kChains; ++c) {
            acc[c] = _mm512_fmadd_ps(x, odd, acc[c]);
            acc[c] = _mm512_fmadd_ps(x, even, acc[c]);
            touch(acc[c]);
        }
    }
    return static_cast<double>(rounds) * kChains * 2 * 16 * 2;
}

std::uint64_t peak_read(const std::byte* memory, std::size_t bytes) {
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (std::size_t i = 0; i + 256 <= bytes; i += 256)
#pragma GCC unroll 4
        for (std::size_t lane = 0; lane < 4; ++lane)
            sum[lane] = _mm512_add_epi64(sum[lane], load(memory + i + 64 * lane));
    const __m512i all = _mm512_add_epi64(_mm512_add_epi64(sum[0], sum[1]), _mm512_add_epi64(sum[2], sum[3]));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(all)));
}

}  // namespace freehold::avx512
