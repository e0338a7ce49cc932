// Sizes of keys and values.
#include "freehold/ops/kv.h"

namespace freehold {

std::size_t KvLayout::bytes_per_token() const noexcept {
    std::size_t total = 0;
    for (const KvGroup& g : groups) total += g.page_bytes() / kPageTokens;
    return total;
}

}  // namespace freehold
