// Anonymous mappings of whole 2 MiB pages, carved for weights that are smaller than one.
// Reading weights is what decoding waits for, so page walks are worth avoiding.
#include "panel_memory.h"

#include <sys/mman.h>

#include <mutex>
#include <string>

#include "freehold/base/error.h"

namespace freehold {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;
constexpr std::size_t kChunk = 4 * kHuge;

std::shared_ptr<std::byte> map_huge(std::size_t bytes) {
    const std::size_t size = (bytes + kHuge - 1) / kHuge * kHuge;
    // One page more than asked for, so that an aligned start can be chosen; what sticks out is given back.
    void* raw = ::mmap(nullptr, size + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        throw Error(ErrorKind::out_of_memory, "No memory for " + std::to_string(bytes) + " bytes of repacked weights.",
                    "Turn repacking off, or use a smaller model.");
    const auto address = reinterpret_cast<std::uintptr_t>(raw);
    const std::uintptr_t aligned = (address + kHuge - 1) / kHuge * kHuge;
    if (aligned != address) ::munmap(raw, aligned - address);
    if (const std::size_t tail = address + kHuge - aligned; tail != 0)
        ::munmap(reinterpret_cast<void*>(aligned + size), tail);
    auto* memory = reinterpret_cast<std::byte*>(aligned);
#ifdef MADV_HUGEPAGE
    ::madvise(memory, size, MADV_HUGEPAGE);  // a wish: without huge pages everything works as well, slower
#endif
    return {memory, [size](std::byte* p) { ::munmap(p, size); }};
}

struct Shared {
    std::mutex mutex;
    std::weak_ptr<std::byte> chunk;
    std::size_t used = 0;
};

Shared& shared() {
    static Shared s;
    return s;
}

}  // namespace

std::shared_ptr<std::byte> allocate_panels(std::size_t bytes) {
    if (bytes >= kHuge) return map_huge(bytes);
    const std::size_t padded = (bytes + 63) / 64 * 64;
    Shared& s = shared();
    const std::lock_guard lock(s.mutex);
    std::shared_ptr<std::byte> chunk = s.chunk.lock();
    if (!chunk || s.used + padded > kChunk) {
        chunk = map_huge(kChunk);
        s.chunk = chunk;
        s.used = 0;
    }
    std::byte* memory = chunk.get() + s.used;
    s.used += padded;
    return {chunk, memory};
}

}  // namespace freehold
