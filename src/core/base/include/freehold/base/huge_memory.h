// Memory that is read in full again and again: keys and values, repacked weights.
// In pages of 4 KiB such reading would spend its time in page walks.
#pragma once

#include <cstddef>
#include <memory>

namespace freehold {

struct UnmapHuge {
    std::size_t bytes = 0;
    void operator()(std::byte* memory) const noexcept;
};
using HugeMemory = std::unique_ptr<std::byte, UnmapHuge>;

// At least `bytes`, zeroed, from a boundary of 2 MiB on, with a wish for huge pages (madvise(2)); memory is taken from
// the system where it is first touched. Null where the system refuses.
[[nodiscard]] HugeMemory map_huge(std::size_t bytes) noexcept;

// Lets go of what lies in [at, at + bytes) of such memory, as far as whole pages of the system lie inside. What was
// given back reads as zeros; the rest keeps what it holds.
void give_back(std::byte* at, std::size_t bytes) noexcept;

}  // namespace freehold
