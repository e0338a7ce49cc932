// How sixteen rows of a quantised weight become one panel.
// The layout is told in kernels.h; rows past the end are zero codes with zero scales.
#include <cstring>

#include "freehold/kernels/kernels.h"

namespace freehold {
namespace {

void put_scale(bool f16, std::byte* dst, int row, float value) {
    if (f16) {
        const std::uint16_t h = f32_to_f16(value);
        std::memcpy(dst + 2 * row, &h, sizeof h);
    } else {
        std::memcpy(dst + 4 * row, &value, sizeof value);
    }
}

}  // namespace

void pack_q_panel(const QPanelForm& form, const CodeBlock* const codes[kPanelRows], int n_rows, std::size_t n_blocks,
                  std::byte* panel) {
    const QuantForm& f = form.form;
    const CodeBlock nothing{};
    for (std::size_t b = 0; b < n_blocks; ++b, panel += form.block_bytes()) {
        std::byte* mins = panel + form.scale_bytes();
        std::byte* halves = mins + form.min_bytes();
        std::byte* out = halves + form.half_bytes();
        for (int row = 0; row < kPanelRows; ++row) {
            const CodeBlock& c = row < n_rows ? codes[row][b] : nothing;
            put_scale(f.f16_scale, panel, row, c.scale);
            if (f.has_min) put_scale(f.f16_scale, mins, row, c.min);
            if (f.has_half) std::memcpy(halves + 2 * row, c.half, 2);
            for (int group = 0; group < (f.bits == 4 ? 4 : 8); ++group) {
                std::uint32_t four;
                std::memcpy(&four, c.code + 4 * group, 4);
                if (f.bits == 4) {
                    std::uint32_t upper;
                    std::memcpy(&upper, c.code + 4 * group + 16, 4);
                    four |= upper << 4;
                }
                std::memcpy(out + 64 * group + 4 * row, &four, 4);
            }
        }
    }
}

}  // namespace freehold
