// Which tables beside the scalar one this build and this CPU have.
// One file in this folder is built: x86.cpp, or generic.cpp where no faster table exists yet.
#pragma once

#include <span>

#include "freehold/kernels/kernels.h"

namespace freehold {

// In ascending order of preference; empty when there is none.
[[nodiscard]] std::span<const Kernels* const> isa_kernels() noexcept;

}  // namespace freehold
