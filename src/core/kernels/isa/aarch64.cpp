// aarch64: NEON with fma is part of the architecture; the system says whether the chip has int8 dot products as well.
#include <sys/auxv.h>

#include <cstdint>

#include "isa/isa.h"
#include "portable/table.h"

namespace freehold {
namespace {

constexpr PeakLoops kNeonPeaks{
    .f32 = portable::peak_f32, .int8 = portable::peak_int8, .bf16 = portable::peak_bf16, .read = portable::peak_read};
constexpr PeakLoops kNeonDotPeaks{.f32 = portable::peak_f32,
                                  .int8 = portable::peak_int8_dot,
                                  .bf16 = portable::peak_bf16,
                                  .read = portable::peak_read};

constexpr unsigned long kAsimdDotProducts = 1UL << 20;  // HWCAP_ASIMDDP of Linux's elf_hwcaps

}  // namespace

std::span<const Kernels* const> isa_kernels() noexcept {
    static constexpr const Kernels* kTables[] = {&portable::kTable, &portable::kTableDot};
    const bool dots = (::getauxval(AT_HWCAP) & kAsimdDotProducts) != 0;
    return std::span(kTables).first(dots ? 2 : 1);
}

const PeakLoops* isa_peak_loops(const Kernels& table) noexcept {
    if (&table == &portable::kTable) return &kNeonPeaks;
    return &table == &portable::kTableDot ? &kNeonDotPeaks : nullptr;
}

}  // namespace freehold
