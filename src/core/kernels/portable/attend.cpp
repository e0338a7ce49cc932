// Attention over pages in portable vectors: the tiles of vectors/attend_tiles.h.
// Nothing else is different from one instruction set to the next.
#include "portable/mac_tile.h"
#include "portable/table.h"
#include "vectors/attend_tiles.h"

namespace freehold::portable {

void attend(const AttendTask& task) {
    vectors::attend<Isa, LoadF32, LoadF16, LoadQ8>(
        task, [](std::size_t rows, auto&& f) { vectors::in_tiles_of_six(rows, f); });
}

}  // namespace freehold::portable
