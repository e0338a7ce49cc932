// In place of isa/x86.cpp where tests run the portable table on a CPU that has better ones.
// The tests see it as available, hold it against the scalar reference and print its name.
#include "isa/isa.h"

#include "portable/table.h"

namespace freehold {

std::span<const Kernels* const> isa_kernels() noexcept {
    static constexpr const Kernels* kTables[] = {&portable::kTable};
    return kTables;
}

const PeakLoops* isa_peak_loops(const Kernels&) noexcept {
    return nullptr;
}

}  // namespace freehold
