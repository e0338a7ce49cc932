// Attention over pages on AVX2: the tiles of vectors/attend_tiles.h.
// Nothing else is different from one instruction set to the next.
#include "mac_tile.h"
#include "table.h"
#include "vectors/attend_tiles.h"

namespace freehold::avx2 {

void attend(const AttendTask& task) {
    vectors::attend<Isa, LoadF32, LoadF16, LoadQ8>(
        task, [](std::size_t rows, auto&& f) { vectors::in_tiles_of_six(rows, f); });
}

}  // namespace freehold::avx2
