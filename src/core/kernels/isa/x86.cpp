// x86-64: asks the CPU which of the tables in this build it can run.
#include <array>

#include "isa/isa.h"

namespace freehold {

std::span<const Kernels* const> isa_kernels() noexcept {
    return {};
}

}  // namespace freehold
