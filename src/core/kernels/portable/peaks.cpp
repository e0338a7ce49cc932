// Loops that do nothing but the arithmetic of the kernels, in registers, to measure what the chip gives at most.
// The asm lines only make the compiler believe that registers change, so that it neither hoists nor drops the work.
#include "portable/lanes.h"
#include "portable/table.h"

namespace freehold::portable {
namespace {

template <class V>
[[gnu::always_inline]] inline void touch(V& v) noexcept {
#if HWY_ARCH_ARM_A64
    __asm__ volatile("" : "+w"(v.raw));
#else
    __asm__ volatile("" : "+x"(v.raw));
#endif
}

}  // namespace

double peak_f32(std::size_t rounds) {
    constexpr int kChains = 24;
    VF acc[kChains];
#pragma GCC unroll 24
    for (VF& chain : acc) chain = hn::Zero(DF());
    VF x = broadcast(1.0F), w = broadcast(0.5F);
    touch(x);
    touch(w);
    for (std::size_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
        for (VF& chain : acc) {
            chain = hn::MulAdd(x, w, chain);
            touch(chain);
        }
    return static_cast<double>(rounds) * kChains * 4 * 2;
}

// 16-bit products added in 16 bits, as for a block of 4-bit codes.
double peak_int8(std::size_t rounds) {
    constexpr int kChains = 16;
    VI16 sum[kChains];
#pragma GCC unroll 16
    for (VI16& chain : sum) chain = hn::Zero(DI16());
    VI8 w = hn::Set(DI8(), 3), a = hn::Set(DI8(), 5);
    touch(w);
    touch(a);
    for (std::size_t i = 0; i < rounds; ++i)
#pragma GCC unroll 16
        for (VI16& chain : sum) {
#if HWY_ARCH_ARM_A64
            chain = VI16(vmlal_s8(chain.raw, vget_low_s8(w.raw), vget_low_s8(a.raw)));
#else
            chain = hn::Add(chain, hn::Mul(hn::BitCast(DI16(), w), hn::BitCast(DI16(), a)));
#endif
            touch(chain);
        }
    return static_cast<double>(rounds) * kChains * 8 * 2;
}

// There is no BF16 instruction here: a pair is taken apart and multiplied as two floats.
double peak_bf16(std::size_t rounds) {
    constexpr int kChains = 16;
    VF acc[kChains];
#pragma GCC unroll 16
    for (VF& chain : acc) chain = hn::Zero(DF());
    VU pair = hn::Set(DU(), 0x3F003F00U);
    VF x = broadcast(1.0F);
    touch(x);
    for (std::size_t i = 0; i < rounds; ++i) {
        touch(pair);
        const VF odd = hn::BitCast(DF(), hn::And(pair, hn::Set(DU(), 0xFFFF0000U)));
        const VF even = hn::BitCast(DF(), hn::ShiftLeft<16>(pair));
#pragma GCC unroll 16
        for (VF& chain : acc) {
            chain = hn::MulAdd(x, odd, chain);
            chain = hn::MulAdd(x, even, chain);
            touch(chain);
        }
    }
    return static_cast<double>(rounds) * kChains * 2 * 4 * 2;
}

std::uint64_t peak_read(const std::byte* memory, std::size_t bytes) {
    const hn::FixedTag<std::uint64_t, 2> words;
    auto sum = hn::Zero(words), other = hn::Zero(words);
    const auto* p = reinterpret_cast<const std::uint64_t*>(memory);
    for (std::size_t i = 0; i + 64 <= bytes; i += 64, p += 8) {
        sum = hn::Add(sum, hn::Xor(hn::LoadU(words, p), hn::LoadU(words, p + 2)));
        other = hn::Add(other, hn::Xor(hn::LoadU(words, p + 4), hn::LoadU(words, p + 6)));
    }
    return hn::GetLane(hn::Add(sum, other));
}

}  // namespace freehold::portable
