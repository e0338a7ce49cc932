// Pages of keys and values, number by number. Plain code for every instruction set: what is stored is defined here.
#include "freehold/kernels/kv_page.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace freehold {
namespace {

constexpr std::uint16_t kNanF16 = 0x7E00;
constexpr std::uint32_t kInfinityBits = 0x7F800000U;
constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding and taking it away rounds to the nearest even integer

template <class T>
T load(const std::byte* at) noexcept {
    T v;
    std::memcpy(&v, at, sizeof v);
    return v;
}

// The bits of the largest magnitude; those of infinity and NaN are above all others.
std::uint32_t largest_bits(const float* x, std::size_t n) noexcept {
    std::int32_t largest = 0;
    for (std::size_t i = 0; i < n; ++i)
        largest = std::max(largest, static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(x[i]) & 0x7FFFFFFFU));
    return static_cast<std::uint32_t>(largest);
}

void quantize_block(const float* x, std::size_t n, std::int8_t* codes, std::uint16_t& scale) noexcept {
    const std::uint32_t bits = largest_bits(x, n);
    scale = bits >= kInfinityBits ? kNanF16 : f32_to_f16(std::bit_cast<float>(bits) / 127.0F);
    if ((scale & 0x7C00U) == 0x7C00U) scale = kNanF16;
    if (scale == 0 || scale == kNanF16) {
        std::fill_n(codes, n, std::int8_t{0});
        return;
    }
    const float inverse = 1.0F / f16_to_f32(scale);
    for (std::size_t i = 0; i < n; ++i) {
        const float code = std::clamp(x[i] * inverse, -127.0F, 127.0F) + kRound - kRound;
        codes[i] = static_cast<std::int8_t>(static_cast<int>(code));
    }
}

}  // namespace

void kv_quantize(const float* x, std::size_t n, std::int8_t* codes, std::uint16_t* scales) noexcept {
    for (std::size_t at = 0; at < n; at += kKvQuant)
        quantize_block(x + at, std::min<std::size_t>(kKvQuant, n - at), codes + at, scales[at / kKvQuant]);
}

float kv_key(KvType type, const std::byte* k, std::size_t dim, std::size_t slot, std::size_t d) noexcept {
    const std::size_t i = d * kPageTokens + slot;
    if (type == KvType::F32) return load<float>(k + 4 * i);
    if (type == KvType::F16) return f16_to_f32(load<std::uint16_t>(k + 2 * i));
    const std::byte* const scales = k + kv_scales_at(dim);
    return static_cast<float>(load<std::int8_t>(k + i)) *
           f16_to_f32(load<std::uint16_t>(scales + 2 * (d / kKvQuant * kPageTokens + slot)));
}

float kv_value(KvType type, const std::byte* v, std::size_t dim, std::size_t slot, std::size_t d) noexcept {
    const std::size_t i = slot * dim + d;
    if (type == KvType::F32) return load<float>(v + 4 * i);
    if (type == KvType::F16) return f16_to_f32(load<std::uint16_t>(v + 2 * i));
    const std::byte* const scales = v + kv_scales_at(dim);
    return static_cast<float>(load<std::int8_t>(v + i)) *
           f16_to_f32(load<std::uint16_t>(scales + 2 * (slot * kv_blocks(dim) + d / kKvQuant)));
}

void kv_store_key(const Kernels& kernels, KvType type, const float* key, std::size_t dim, std::size_t slot,
                  std::byte* k) noexcept {
    if (type == KvType::F32) {
        auto* const to = reinterpret_cast<float*>(k);
        for (std::size_t d = 0; d < dim; ++d) to[d * kPageTokens + slot] = key[d];
    } else if (type == KvType::F16) {
        std::uint16_t half[kMaxHeadDim];
        kernels.f32_to_f16(key, half, dim);
        auto* const to = reinterpret_cast<std::uint16_t*>(k);
        for (std::size_t d = 0; d < dim; ++d) to[d * kPageTokens + slot] = half[d];
    } else {
        std::int8_t codes[kMaxHeadDim];
        std::uint16_t scales[kMaxHeadDim / kKvQuant];
        kv_quantize(key, dim, codes, scales);
        auto* const to = reinterpret_cast<std::int8_t*>(k);
        for (std::size_t d = 0; d < dim; ++d) to[d * kPageTokens + slot] = codes[d];
        auto* const scales_to = reinterpret_cast<std::uint16_t*>(k + kv_scales_at(dim));
        for (std::size_t b = 0; b < kv_blocks(dim); ++b) scales_to[b * kPageTokens + slot] = scales[b];
    }
}

void kv_store_value(const Kernels& kernels, KvType type, const float* value, std::size_t dim, std::size_t slot,
                    std::byte* v) noexcept {
    if (type == KvType::F32) {
        std::memcpy(reinterpret_cast<float*>(v) + slot * dim, value, dim * sizeof(float));
    } else if (type == KvType::F16) {
        kernels.f32_to_f16(value, reinterpret_cast<std::uint16_t*>(v) + slot * dim, dim);
    } else {
        kv_quantize(value, dim, reinterpret_cast<std::int8_t*>(v) + slot * dim,
                    reinterpret_cast<std::uint16_t*>(v + kv_scales_at(dim)) + slot * kv_blocks(dim));
    }
}

}  // namespace freehold
