// Which tables beside the scalar one this build and this CPU have, and the loops that measure their peaks.
// One file in this folder is built: x86.cpp, aarch64.cpp, or generic.cpp where no faster table exists yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "freehold/kernels/kernels.h"

namespace freehold {

// In ascending order of preference; empty when there is none.
[[nodiscard]] std::span<const Kernels* const> isa_kernels() noexcept;

// Each runs `rounds` rounds in registers and returns how many operations (multiplications and additions) it did.
struct PeakLoops {
    double (*f32)(std::size_t rounds);
    double (*int8)(std::size_t rounds);
    double (*bf16)(std::size_t rounds);
    // Reads every byte once; the result only keeps the compiler honest.
    std::uint64_t (*read)(const std::byte* memory, std::size_t bytes);
};

// Loops in the instructions of that table, or null: plain ones serve.
[[nodiscard]] const PeakLoops* isa_peak_loops(const Kernels& table) noexcept;

}  // namespace freehold
