// The peak of vpdpbusd in 256-bit vectors: independent sums in registers and nothing else.
// The asm line makes the compiler believe that registers change, so that it neither hoists nor drops the work.
#include <immintrin.h>

#include "avxvnni/table.h"

namespace freehold::avxvnni {

double peak_int8(std::size_t rounds) {
    constexpr int kChains = 12;
    __m256i sum[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm256_setzero_si256();
    __m256i w = _mm256_set1_epi8(3), a = _mm256_set1_epi8(5);
    __asm__ volatile("" : "+x"(w), "+x"(a));
    for (std::size_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
        for (int c = 0; c < kChains; ++c) {
            sum[c] = _mm256_dpbusd_avx_epi32(sum[c], w, a);
            __asm__ volatile("" : "+x"(sum[c]));
        }
    return static_cast<double>(rounds) * kChains * 32 * 2;
}

}  // namespace freehold::avxvnni
