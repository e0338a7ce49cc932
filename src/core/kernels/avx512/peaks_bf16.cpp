// The peak of vdpbf16ps: independent sums in registers and nothing else.
// Apart from the other loops because it needs the flag of BF16.
#include "lanes.h"
#include "table.h"

namespace freehold::avx512 {

double peak_bf16_dots(std::size_t rounds) {
    constexpr int kChains = 24;
    __m512 acc[kChains];
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_setzero_ps();
    __m512i x = _mm512_set1_epi32(0x3F803F80), w = _mm512_set1_epi32(0x3F003F00);
    __asm__ volatile("" : "+v"(x), "+v"(w));
    for (std::size_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
        for (int c = 0; c < kChains; ++c) __asm__ volatile("vdpbf16ps %2, %1, %0" : "+v"(acc[c]) : "v"(x), "v"(w));
    return static_cast<double>(rounds) * kChains * 2 * 16 * 2;
}

}  // namespace freehold::avx512
