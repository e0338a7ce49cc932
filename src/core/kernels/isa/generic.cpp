// Architectures for which no faster table is written yet: the scalar reference serves.
#include "isa/isa.h"

namespace freehold {

std::span<const Kernels* const> isa_kernels() noexcept {
    return {};
}

const PeakLoops* isa_peak_loops(const Kernels&) noexcept {
    return nullptr;
}

}  // namespace freehold
