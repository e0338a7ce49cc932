// How sixteen rows of a quantised weight become one panel.
// The layout is told in kernels.h; rows past the end are zero codes with zero scales.
#include <cstring>

#include "freehold/kernels/kernels.h"

namespace freehold {
namespace {

void put_float(bool f16, std::byte* dst, int row, float value) {
    if (f16) {
        const std::uint16_t h = f32_to_f16(value);
        std::memcpy(dst + 2 * row, &h, sizeof h);
    } else {
        std::memcpy(dst + 4 * row, &value, sizeof value);
    }
}

// Codes of one row and block into the planes, the four of a group at a time: no code is wider than its format says, so
// shifts stay inside a byte.
void put_codes(int bits, const std::uint8_t* code, int row, std::byte* planes) {
    std::uint32_t group[8];
    std::memcpy(group, code, sizeof group);
    const auto put = [&](int plane, std::uint32_t four) { std::memcpy(planes + 64 * plane + 4 * row, &four, 4); };
    const auto nibbles = [&] {
        for (int p = 0; p < 4; ++p) put(p, (group[p] & 0x0F0F0F0FU) | (group[p + 4] & 0x0F0F0F0FU) << 4);
    };
    const auto twos = [&](int first_plane, int low_bit) {
        for (int p = 0; p < 2; ++p) {
            std::uint32_t four = 0;
            for (int j = 0; j < 4; ++j) four |= (group[4 * p + j] >> low_bit & 0x03030303U) << (2 * j);
            put(first_plane + p, four);
        }
    };
    const auto ones = [&](int plane, int low_bit) {
        std::uint32_t four = 0;
        for (int g = 0; g < 8; ++g) four |= (group[g] >> low_bit & 0x01010101U) << g;
        put(plane, four);
    };
    switch (bits) {
        case 2:
            return twos(0, 0);
        case 3:
            twos(0, 0);
            return ones(2, 2);
        case 4:
            return nibbles();
        case 5:
            nibbles();
            return ones(4, 4);
        case 6:
            nibbles();
            return twos(4, 4);
        default:
            for (int g = 0; g < 8; ++g) put(g, group[g]);
    }
}

}  // namespace

void pack_q_panel(const QPanelForm& form, const CodeBlock* const codes[kPanelRows], int n_rows, std::size_t first_block,
                  std::size_t n_blocks, std::byte* panel) {
    const QuantForm& f = form.form;
    const bool super = form.has_header();
    const CodeBlock nothing{};
    for (std::size_t b = 0; b < n_blocks; ++b) {
        std::byte* block = panel + form.block_at(first_block + b);
        std::byte* header = panel + form.header_at(first_block + b);
        for (int row = 0; row < kPanelRows; ++row) {
            const CodeBlock& c = row < n_rows ? codes[row][b] : nothing;
            if (super) {
                if (b % QPanelForm::kSuperBlocks == 0) {
                    put_float(true, header, row, c.scale);
                    if (f.has_min) put_float(true, header + 32, row, c.min);
                }
                if (!f.has_half) block[row] = static_cast<std::byte>(c.scale_code);
                if (f.has_min && !f.has_half_min)
                    block[form.mins_at() + static_cast<std::size_t>(row)] = static_cast<std::byte>(c.min_code);
            } else {
                put_float(f.scales == ScaleForm::f16, block, row, c.scale);
                if (f.has_min) put_float(f.scales == ScaleForm::f16, block + form.mins_at(), row, c.min);
            }
            if (f.has_half) std::memcpy(block + form.halves_at() + 2 * row, c.half, 2);
            if (f.has_half_min) std::memcpy(block + form.half_mins_at() + 2 * row, c.half_min, 2);
            put_codes(f.bits, c.code, row, block + form.codes_at());
        }
    }
}

}  // namespace freehold
