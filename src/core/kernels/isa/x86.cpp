// x86-64: asks the CPU which of the tables in this build it can run, and the operating system whether it saves the
// registers that they use.
#include <cpuid.h>

#include <cstdint>

#include "avx2/table.h"
#include "avx512/table.h"
#include "avxvnni/table.h"
#include "isa/isa.h"

namespace freehold {
namespace {

constexpr PeakLoops kAvx2Peaks{
    .f32 = avx2::peak_f32, .int8 = avx2::peak_int8, .bf16 = avx2::peak_bf16, .read = avx2::peak_read};
constexpr PeakLoops kAvxVnniPeaks{
    .f32 = avx2::peak_f32, .int8 = avxvnni::peak_int8, .bf16 = avx2::peak_bf16, .read = avx2::peak_read};
constexpr PeakLoops kAvx512Peaks{
    .f32 = avx512::peak_f32, .int8 = avx512::peak_int8, .bf16 = avx512::peak_bf16, .read = avx512::peak_read};
constexpr PeakLoops kAvx512Bf16Peaks{
    .f32 = avx512::peak_f32, .int8 = avx512::peak_int8, .bf16 = avx512::peak_bf16_dots, .read = avx512::peak_read};

struct Choice {
    const Kernels* table;
    const PeakLoops* peaks;
};
constexpr Choice kChoices[] = {{&avx2::kTable, &kAvx2Peaks},
                               {&avxvnni::kTable, &kAvxVnniPeaks},
                               {&avx512::kTable, &kAvx512Peaks},
                               {&avx512::kTableBf16, &kAvx512Bf16Peaks}};

constexpr bool bit(unsigned word, int i) noexcept {
    return (word >> i & 1U) != 0;
}

// XCR0: which registers the operating system saves. Call only where CPUID says OSXSAVE.
std::uint32_t saved_state() noexcept {
    std::uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// Bits of CPUID leaves 1 and 7 by the names of Intel's manual, volume 2, CPUID.
struct Cpu {
    bool avx2 = false, avx_vnni = false, avx512 = false, avx512_bf16 = false;

    Cpu() noexcept {
        unsigned a = 0, b = 0, c = 0, d = 0;
        if (__get_cpuid(1, &a, &b, &c, &d) == 0) return;
        const bool fma = bit(c, 12), osxsave = bit(c, 27), avx = bit(c, 28), f16c = bit(c, 29);
        if (!osxsave || !avx) return;
        constexpr std::uint32_t kYmm = 0x06, kZmm = 0xE6;  // SSE, AVX; opmask, upper halves, upper sixteen
        const std::uint32_t saved = saved_state();
        if ((saved & kYmm) != kYmm || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return;
        const unsigned subleaves = a;
        avx2 = bit(b, 5) && fma && f16c;
        const bool f = bit(b, 16), dq = bit(b, 17), bw = bit(b, 30), vl = bit(b, 31), vnni = bit(c, 11);
        avx512 = avx2 && f && dq && bw && vl && vnni && (saved & kZmm) == kZmm;
        if (subleaves == 0 || __get_cpuid_count(7, 1, &a, &b, &c, &d) == 0) return;
        avx_vnni = avx2 && bit(a, 4);
        avx512_bf16 = avx512 && bit(a, 5);
    }
};

}  // namespace

std::span<const Kernels* const> isa_kernels() noexcept {
    static const struct Tables {
        const Kernels* of[std::size(kChoices)];
        std::size_t n = 0;
        Tables() noexcept : of{} {
            const Cpu cpu;
            const bool runs[] = {cpu.avx2, cpu.avx_vnni, cpu.avx512, cpu.avx512_bf16};
            for (std::size_t i = 0; i < std::size(kChoices); ++i)
                if (runs[i]) of[n++] = kChoices[i].table;
        }
    } tables;
    return std::span(tables.of).first(tables.n);
}

const PeakLoops* isa_peak_loops(const Kernels& table) noexcept {
    for (const Choice& c : kChoices)
        if (c.table == &table) return c.peaks;
    return nullptr;
}

}  // namespace freehold
