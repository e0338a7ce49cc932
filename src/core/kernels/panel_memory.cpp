// Mappings of huge pages, carved for weights: many small ones share one.
// Reading weights is what decoding waits for, so page walks are worth avoiding.
#include "panel_memory.h"

#include <mutex>
#include <string>

#include "freehold/base/error.h"
#include "freehold/base/huge_memory.h"

namespace freehold {
namespace {

// A mapping takes memory in huge pages as it is touched, so a large chunk costs nothing at its end, and a weight that
// began in a mapping of its own would fill its last 2 MiB with air.
constexpr std::size_t kOwn = std::size_t{32} << 20;
constexpr std::size_t kChunk = std::size_t{128} << 20;

std::shared_ptr<std::byte> mapped(std::size_t bytes) {
    HugeMemory memory = map_huge(bytes);
    if (!memory)
        throw Error(ErrorKind::out_of_memory, "No memory for " + std::to_string(bytes) + " bytes of repacked weights.",
                    "Turn repacking off, or use a smaller model.");
    return memory;
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
    if (bytes >= kOwn) return mapped(bytes);
    const std::size_t padded = (bytes + 63) / 64 * 64;
    Shared& s = shared();
    const std::lock_guard lock(s.mutex);
    std::shared_ptr<std::byte> chunk = s.chunk.lock();
    if (!chunk || s.used + padded > kChunk) {
        chunk = mapped(kChunk);
        s.chunk = chunk;
        s.used = 0;
    }
    std::byte* memory = chunk.get() + s.used;
    s.used += padded;
    // What a weight leaves goes back to the system though its neighbours stay.
    return {memory, [chunk, padded](std::byte* p) { give_back(p, padded); }};
}

}  // namespace freehold
