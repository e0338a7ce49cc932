// Code blocks back to F32, for formats whose expansion is nothing but that: what to_codes says is then what to_f32
// says. Every product of a scale with the integers of its block is exact, so the only rounding is that of the format.
#pragma once

#include "freehold/tensor/dtype.h"

namespace freehold {

inline void expand_block(const QuantForm& form, const CodeBlock& c, float* dst) noexcept {
    for (int h = 0; h < 2; ++h) {
        const float scale = c.block_scale() * static_cast<float>(c.half[h]);
        const float min = c.block_min() * static_cast<float>(c.half_min[h]);
        for (int i = 16 * h; i < 16 * h + 16; ++i) {
            const int value = form.table != nullptr ? form.table[c.code[i]] : c.code[i];
            const float weight = scale * static_cast<float>(value - form.zero);
            dst[i] = form.has_min ? weight + min : weight;
        }
    }
}

// n values in blocks of kValues (32 or 256) and kBytes, each unpacked by `codes`.
template <std::size_t kValues, std::size_t kBytes>
void expand_blocks(const QuantForm& form, void (*codes)(const std::byte*, CodeBlock*, std::size_t),
                   const std::byte* src, float* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / kValues; ++b, src += kBytes) {
        CodeBlock c[kValues / 32];
        codes(src, c, kValues);
        for (const CodeBlock& block : c) {
            expand_block(form, block, dst);
            dst += 32;
        }
    }
}

}  // namespace freehold
