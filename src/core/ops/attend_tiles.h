// Tiles of query rows, the memory of the workers that walk them, and the two ways in which a call hands them out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "attend_backward.h"

namespace freehold {

inline constexpr std::size_t kTileRows = 48;  // query rows (tokens x heads of the group) that share one walk over keys

struct AttendTile {
    std::uint32_t segment, first, n_tokens;  // tokens [first, first + n) of the segment
};

// What one worker needs beside the kernel's own scratch; room for the rows of one tile.
struct AttendWorker {
    const float** q;
    float** out;
    std::int32_t *first, *last;
    float *lse, *slope, *sink;
    std::int32_t* at;
    const float** bias;
    std::byte* scratch;
};

// What every task of one call of attend() needs to know.
struct AttendCall {
    const Batch& batch;
    const AttentionShape& shape;
    const KvPlace& place;
    const Mat &q, &out;
    [[nodiscard]] std::size_t group() const { return static_cast<std::size_t>(shape.n_heads / shape.n_kv_heads); }
};

// Most query rows of a tile: one token at least, however many heads share a KV head.
[[nodiscard]] std::size_t tile_rows(const AttentionShape& shape) noexcept;

// The kernel's task for rows [row0, row0 + n_rows) of a tile and KV head, in the worker's memory; row r is head
// r % group() of the group, of the tile's token r / group(). out points into the rows of the batch.
[[nodiscard]] AttendTask attend_task(const AttendCall& call, const AttendTile& tile, std::size_t kv_head,
                                     std::size_t row0, std::size_t n_rows, const AttendWorker& worker);

// --- few tiles (attend_split.cpp)
// Whether there are too few tiles for these threads to share them whole.
[[nodiscard]] bool few_tiles(std::size_t n_tiles, const AttentionShape& shape, int n_threads) noexcept;
// Attention of few tiles: spans of keys apart, and query rows apart where that balances the threads. The same bits.
void attend_split(Exec& exec, const AttendCall& call, std::span<const AttendTile> tiles, const AttendWorker* workers);
// Bytes of scratch that attend_split takes.
[[nodiscard]] std::size_t attend_split_scratch(const AttentionShape& shape, int n_threads) noexcept;

}  // namespace freehold
