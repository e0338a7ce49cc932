// Chooses the table of kernels once: the best that this CPU can run, or what FREEHOLD_ISA names.
#include <cstdlib>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/kernels/kernels.h"
#include "isa/isa.h"

namespace freehold {

std::span<const Kernels* const> available_kernels() noexcept {
    static const std::vector<const Kernels*> tables = [] {
        std::vector<const Kernels*> all{&scalar_kernels()};
        for (const Kernels* k : isa_kernels()) all.push_back(k);
        return all;
    }();
    return tables;
}

const Kernels* find_kernels(std::string_view name) noexcept {
    for (const Kernels* k : available_kernels())
        if (k->name == name) return k;
    return nullptr;
}

const Kernels& active_kernels() {
    static const Kernels& chosen = []() -> const Kernels& {
        const char* wanted = std::getenv("FREEHOLD_ISA");
        if (wanted == nullptr || *wanted == '\0') return *available_kernels().back();
        if (const Kernels* k = find_kernels(wanted)) return *k;
        std::string names;
        for (const Kernels* k : available_kernels()) names += (names.empty() ? "" : ", ") + std::string(k->name);
        throw Error(ErrorKind::usage,
                    "FREEHOLD_ISA asks for \"" + std::string(wanted) + "\", which this CPU or build does not have.",
                    "Unset it, or use one of: " + names + ".");
    }();
    return chosen;
}

std::size_t attend_scratch_bytes(int n_rows, int head_dim, int v_dim, bool v_in_k) noexcept {
    const auto rows = static_cast<std::size_t>(n_rows < 1 ? 1 : n_rows);
    // Per row: the scaled query, two accumulators (span and total, padded to 16), the scores of one block, and a few
    // scalars.
    const std::size_t per_row = static_cast<std::size_t>(head_dim) +
                                2 * static_cast<std::size_t>((v_dim + 15) / 16 * 16) +
                                static_cast<std::size_t>(kKvBlock) + 16;
    // With values in the keys: one block of them as rows, and what each tile carries (a tile has a row at least).
    const std::size_t turned =
        v_in_k ? static_cast<std::size_t>(kKvBlock) * static_cast<std::size_t>((v_dim + 15) / 16 * 16) * sizeof(float) +
                     rows * kAttendTileBytes
               : 0;
    return (rows * per_row * sizeof(float) + turned + 64 + 63) / 64 * 64;
}

}  // namespace freehold
