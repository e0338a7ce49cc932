// In place of isa/x86.cpp where tests run the wide tables on a CPU that lacks their instructions: all of them,
// emulated. The tests see them as available, hold them against the scalar reference and print their names.
#include "isa/isa.h"

#include "avx512/table.h"
#include "avxvnni/table.h"

namespace freehold {

std::span<const Kernels* const> isa_kernels() noexcept {
    static constexpr const Kernels* kTables[] = {&avxvnni::kTable, &avx512::kTable, &avx512::kTableBf16};
    return kTables;
}

const PeakLoops* isa_peak_loops(const Kernels&) noexcept {
    return nullptr;
}

}  // namespace freehold
