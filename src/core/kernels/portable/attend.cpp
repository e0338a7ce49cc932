// Attention over pages in portable vectors: the tiles of vectors/attend_tiles.h in the three types of keys and values.
// Nothing else is different from one instruction set to the next.
#include "freehold/kernels/kv_page.h"
#include "portable/mac_tile.h"
#include "portable/table.h"
#include "vectors/attend_tiles.h"

namespace freehold::portable {
namespace {

template <class Load>
void attend_rows(const AttendTask& task) noexcept {
    in_tiles(static_cast<std::size_t>(task.n_rows), [&]<int R>(std::size_t row) {
        vectors::AttendTiles<Isa, LoadF16, LoadQ8>::template run<Load, R>(task, static_cast<int>(row));
    });
}

}  // namespace

void attend(const AttendTask& task) {
    if (task.type == KvType::F32)
        attend_rows<LoadF32>(task);
    else if (task.type == KvType::F16)
        attend_rows<LoadF16>(task);
    else
        attend_rows<LoadQ8>(task);
}

}  // namespace freehold::portable
