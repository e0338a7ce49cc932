// Anonymous mappings of whole 2 MiB pages.
// Without huge pages everything works as well, slower.
#include "freehold/base/huge_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace freehold {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;

}  // namespace

void UnmapHuge::operator()(std::byte* memory) const noexcept {
    ::munmap(memory, bytes);
}

HugeMemory map_huge(std::size_t bytes) noexcept {
    const std::size_t size = (bytes + kHuge - 1) / kHuge * kHuge;
    // One page more than asked for, so that an aligned start can be chosen; what sticks out is given back.
    void* raw = ::mmap(nullptr, size + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return {nullptr, UnmapHuge{0}};
    const auto address = reinterpret_cast<std::uintptr_t>(raw);
    const std::uintptr_t aligned = (address + kHuge - 1) / kHuge * kHuge;
    if (aligned != address) ::munmap(raw, aligned - address);
    if (const std::size_t tail = address + kHuge - aligned; tail != 0)
        ::munmap(reinterpret_cast<void*>(aligned + size), tail);
    auto* memory = reinterpret_cast<std::byte*>(aligned);
#ifdef MADV_HUGEPAGE
    ::madvise(memory, size, MADV_HUGEPAGE);
#endif
    return {memory, UnmapHuge{size}};
}

void give_back(std::byte* at, std::size_t bytes) noexcept {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<std::uintptr_t>(at) + page - 1) / page * page;
    const auto end = (reinterpret_cast<std::uintptr_t>(at) + bytes) / page * page;
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace freehold
