// The peak of the int8 dots of ARMv8.2: independent sums in registers and nothing else. Empty on other architectures.
// The asm line makes the compiler believe that registers change, so that it neither hoists nor drops the work.
#if defined(__ARM_FEATURE_DOTPROD)
#include "portable/lanes.h"
#include "portable/table.h"

namespace freehold::portable {

double peak_int8_dot(std::size_t rounds) {
    constexpr int kChains = 24;
    int32x4_t sum[kChains];
#pragma GCC unroll 24
    for (int32x4_t& chain : sum) chain = vdupq_n_s32(0);
    int8x16_t w = vdupq_n_s8(3), a = vdupq_n_s8(5);
    __asm__ volatile("" : "+w"(w), "+w"(a));
    for (std::size_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
        for (int32x4_t& chain : sum) {
            chain = vdotq_s32(chain, w, a);
            __asm__ volatile("" : "+w"(chain));
        }
    return static_cast<double>(rounds) * kChains * 16 * 2;
}

}  // namespace freehold::portable
#endif
