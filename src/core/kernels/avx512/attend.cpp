// Attention over pages on AVX-512: the tiles of vectors/attend_tiles.h.
// Nothing else is different from one instruction set to the next.
#include "mac_tile.h"
#include "table.h"
#include "vectors/attend_tiles.h"

namespace freehold::avx512 {

void attend(const AttendTask& task) {
    vectors::attend<Isa, LoadF32, LoadF16, LoadQ8>(task, [](std::size_t rows, auto&& f) { in_tiles(rows, f); });
}

}  // namespace freehold::avx512
