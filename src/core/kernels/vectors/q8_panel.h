// What the tiles of every instruction set need of a quantised panel and of the rows that it meets.
// Offsets are worked out once, out of the loops.
#pragma once

#include "freehold/kernels/kernels.h"

namespace freehold::vectors {
// Every file has its own: a constructor compiled for one instruction set must never serve another.
namespace {

constexpr std::size_t kPrefetchAhead = 4096;  // bytes that one row's tile asks for ahead, see docs/lab-log.md

// What a tile needs of a panel's form, once.
struct Layout {
    std::size_t block_bytes, header_bytes, mins, halves, half_mins, codes;
    ScaleForm scales;
    bool has_header, has_half, has_min, has_half_min;
    int zero;
    const std::uint8_t* table;

    explicit Layout(const QPanelForm& f) noexcept
        : block_bytes(f.block_bytes()),
          header_bytes(f.header_bytes()),
          mins(f.mins_at()),
          halves(f.halves_at()),
          half_mins(f.half_mins_at()),
          codes(f.codes_at()),
          scales(f.form.scales),
          has_header(f.has_header()),
          has_half(f.form.has_half),
          has_min(f.form.has_min),
          has_half_min(f.form.has_half_min),
          zero(f.form.zero),
          table(f.form.table) {}
};

// Activations from row t on.
struct Rows {
    const std::int8_t* codes;
    const float* scale;
    const std::int32_t* sum;
    const std::int16_t* half;
    const float* fsum;
    const std::int16_t* wide;  // or null
    std::size_t padded_k, wide_ld, n_blocks;

    Rows(const Q8Rows& x, std::size_t t) noexcept
        : codes(x.codes + t * x.padded_k),
          scale(x.scale + t * (x.padded_k / kQBlock)),
          sum(x.sum + t * (x.padded_k / kQBlock)),
          half(x.half + 2 * t * (x.padded_k / kQBlock)),
          fsum(x.fsum + t * (x.padded_k / kQBlock)),
          wide(x.wide == nullptr ? nullptr : x.wide + t * x.wide_ld()),
          padded_k(x.padded_k),
          wide_ld(x.wide_ld()),
          n_blocks(x.padded_k / kQBlock) {}
};

}  // namespace
}  // namespace freehold::vectors
