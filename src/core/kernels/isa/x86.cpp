// x86-64: asks the CPU which of the tables in this build it can run.
// The AVX2 table needs FMA and F16C as well, and an operating system that saves the wide registers.
#include <cpuid.h>

#include "avx2/table.h"
#include "isa/isa.h"

namespace freehold {
namespace {

constexpr Kernels kAvx2{.name = "avx2",
                        .panel_f32 = avx2::panel_f32,
                        .panel_bf16 = avx2::panel_bf16,
                        .panel_q8 = avx2::panel_q8,
                        .quantize_row = avx2::quantize_row,
                        .to_bf16 = avx2::to_bf16,
                        .f16_to_f32 = avx2::f16_to_f32,
                        .f32_to_f16 = avx2::f32_to_f16,
                        .norm_row = avx2::norm_row,
                        .activate = avx2::activate,
                        .add = avx2::add,
                        .add_scaled = avx2::add_scaled,
                        .scale = avx2::scale,
                        .rope = avx2::rope,
                        .attend = avx2::attend,
                        .argmax = avx2::argmax,
                        .max_value = avx2::max_value,
                        .exp_sum = avx2::exp_sum,
                        .softcap = avx2::softcap};

constexpr PeakLoops kAvx2Peaks{
    .f32 = avx2::peak_f32, .int8 = avx2::peak_int8, .bf16 = avx2::peak_bf16, .read = avx2::peak_read};

bool has_avx2() noexcept {
    __builtin_cpu_init();
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
    return f16c && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}

}  // namespace

std::span<const Kernels* const> isa_kernels() noexcept {
    static constexpr const Kernels* kTables[] = {&kAvx2};
    return std::span<const Kernels* const>(kTables, has_avx2() ? 1 : 0);
}

const PeakLoops* isa_peak_loops() noexcept {
    return has_avx2() ? &kAvx2Peaks : nullptr;
}

}  // namespace freehold
