// Memory for panels: aligned to cache lines, in anonymous mappings that may use huge pages.
// Small weights share a mapping; a mapping is given back when its last weight is gone.
#pragma once

#include <cstddef>
#include <memory>

namespace freehold {

// Zeroed. Throws Error{out_of_memory}.
[[nodiscard]] std::shared_ptr<std::byte> allocate_panels(std::size_t bytes);

}  // namespace freehold
