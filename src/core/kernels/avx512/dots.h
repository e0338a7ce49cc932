// The two dot instructions with one operand broadcast from memory. Written as assembly because GCC 12 does not fold the
// broadcast of these two into the instruction (it does for fma and multiplications), which would cost a load slot each.
#pragma once

#include "lanes.h"

namespace freehold::avx512 {

struct [[gnu::packed, gnu::may_alias]] Dword {
    std::int32_t v;
};

#ifndef FREEHOLD_EMULATED_VECTORS

// sum += four unsigned codes of every lane times the four signed codes at p.
[[gnu::always_inline]] inline void add_dot4(__m512i& sum, __m512i codes, const std::int8_t* p) noexcept {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(codes), "m"(*reinterpret_cast<const Dword*>(p)));
}

#ifdef __AVX512BF16__
// sum += the BF16 pair of every lane times the pair at p, odd elements first.
[[gnu::always_inline]] inline void add_dot2(__m512& sum, __m512i pairs, const std::uint16_t* p) noexcept {
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(pairs), "m"(*reinterpret_cast<const Dword*>(p)));
}
#endif

#else  // tests on machines without these instructions

[[gnu::always_inline]] inline void add_dot4(__m512i& sum, __m512i codes, const std::int8_t* p) noexcept {
    sum = _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(reinterpret_cast<const Dword*>(p)->v));
}

[[gnu::always_inline]] inline void add_dot2(__m512& sum, __m512i pairs, const std::uint16_t* p) noexcept {
    sum = emulated::dpbf16(sum, pairs, _mm512_set1_epi32(reinterpret_cast<const Dword*>(p)->v));
}

#endif

}  // namespace freehold::avx512
