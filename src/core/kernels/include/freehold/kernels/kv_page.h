// What one page holds of a KV head, and how single numbers get in and out: 16 keys and 16 values in a KV type.
// The only place that writes pages; kernels read them in bulk, others number by number through here.
//
//   K: [D][16] elements (lanes are keys); with Q8_0 behind them the scales, F16 [ceil(D / 32)][16]
//   V: [16][Dv] elements; with Q8_0 behind them the scales, F16 [16][ceil(Dv / 32)]
//
// Q8_0: an int8 code per number and a scale for each 32 along the head dimension of one key or value. A dimension that
// is no multiple of 32 ends in a shorter block. Read back as code * scale, which is exact in F32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "freehold/kernels/kernels.h"

namespace freehold {

[[nodiscard]] constexpr std::size_t kv_element_bytes(KvType type) noexcept {
    return type == KvType::F32 ? 4 : type == KvType::F16 ? 2 : 1;
}
// Blocks of 32 in `dim` numbers.
[[nodiscard]] constexpr std::size_t kv_blocks(std::size_t dim) noexcept {
    return (dim + kKvQuant - 1) / kKvQuant;
}
// Bytes from the start of K (or V) of a page to its scales, and of all of it; dim is D or Dv.
[[nodiscard]] constexpr std::size_t kv_scales_at(std::size_t dim) noexcept {
    return kPageTokens * dim;
}
[[nodiscard]] constexpr std::size_t kv_side_bytes(KvType type, std::size_t dim) noexcept {
    return kv_element_bytes(type) * kPageTokens * dim + (type == KvType::Q8_0 ? 2 * kPageTokens * kv_blocks(dim) : 0);
}

// Number d of the key (or value) in slot 0 to 15; k and v point to K and V of one layer and head, dim is D or Dv.
[[nodiscard]] float kv_key(KvType type, const std::byte* k, std::size_t dim, std::size_t slot, std::size_t d) noexcept;
[[nodiscard]] float kv_value(KvType type, const std::byte* v, std::size_t dim, std::size_t slot,
                             std::size_t d) noexcept;

// Writes one key or one value; dim is at most kMaxHeadDim. F16 goes through the table's conversion.
inline constexpr std::size_t kMaxHeadDim = 1024;
void kv_store_key(const Kernels& kernels, KvType type, const float* key, std::size_t dim, std::size_t slot,
                  std::byte* k) noexcept;
void kv_store_value(const Kernels& kernels, KvType type, const float* value, std::size_t dim, std::size_t slot,
                    std::byte* v) noexcept;

// n numbers to codes [n] and F16 scales [ceil(n / 32)]. Per block: amax the largest magnitude; scale = F16(amax / 127);
// code = nearest-even(x * (1 / scale)), held to -127..127, against the scale as it is stored, so that its rounding
// costs nothing. Scale 0: codes 0. An infinity or NaN in the block, or a scale beyond F16: scale NaN and codes 0, so
// that the fault shows in what attention makes of it.
void kv_quantize(const float* x, std::size_t n, std::int8_t* codes, std::uint16_t* scales) noexcept;

}  // namespace freehold
