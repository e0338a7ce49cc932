// Transposes of four rows by four words, in vectors that every compiler target has.
// Loads and stores are what this costs, so nothing goes through single words.
#include "lay.h"

#include <algorithm>
#include <cstring>

namespace freehold {
namespace {

using Four = std::uint32_t __attribute__((vector_size(16)));

Four load(const std::uint32_t* p) noexcept {
    Four v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

// Words 0..3 of four rows: word w of row r goes to out[16 * w + r], for w < n.
void four_by_four(const std::uint32_t* a, const std::uint32_t* b, const std::uint32_t* c, const std::uint32_t* d, int n,
                  std::byte* out) noexcept {
    const Four va = load(a), vb = load(b), vc = load(c), vd = load(d);
    const Four ab_low = __builtin_shufflevector(va, vb, 0, 4, 1, 5);
    const Four ab_high = __builtin_shufflevector(va, vb, 2, 6, 3, 7);
    const Four cd_low = __builtin_shufflevector(vc, vd, 0, 4, 1, 5);
    const Four cd_high = __builtin_shufflevector(vc, vd, 2, 6, 3, 7);
    const Four word[4] = {
        __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
        __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
    for (int w = 0; w < n; ++w) std::memcpy(out + 64 * w, &word[w], sizeof(Four));
}

// n planes of a block that lies at index b of each row.
void lay_planes(const PackedBlock* const rows[kPanelRows], std::size_t b, int n, std::byte* out) noexcept {
    for (int p = 0; p < n; p += 4)
        for (int r = 0; r < kPanelRows; r += 4)
            four_by_four(rows[r][b].plane + p, rows[r + 1][b].plane + p, rows[r + 2][b].plane + p,
                         rows[r + 3][b].plane + p, std::min(4, n - p), out + 64 * p + 4 * r);
}

template <class T>
void lay_each(const PackedBlock* const rows[kPanelRows], std::size_t b, T PackedBlock::*field,
              std::byte* out) noexcept {
    for (int r = 0; r < kPanelRows; ++r)
        std::memcpy(out + sizeof(T) * static_cast<std::size_t>(r), &(rows[r][b].*field), sizeof(T));
}

}  // namespace

void lay_words(const std::uint32_t* const rows[kPanelRows], std::size_t n, std::uint32_t* out) noexcept {
    std::size_t w = 0;
    for (; w + 4 <= n; w += 4)
        for (int r = 0; r < kPanelRows; r += 4)
            four_by_four(rows[r] + w, rows[r + 1] + w, rows[r + 2] + w, rows[r + 3] + w, 4,
                         reinterpret_cast<std::byte*>(out + kPanelRows * w + r));
    for (; w < n; ++w)
        for (int r = 0; r < kPanelRows; ++r) out[kPanelRows * w + static_cast<std::size_t>(r)] = rows[r][w];
}

void lay_q_panel(const QPanelForm& form, const PackedBlock* const rows[kPanelRows], std::size_t first_block,
                 std::size_t n_blocks, std::byte* panel) noexcept {
    const QuantForm& f = form.form;
    for (std::size_t b = 0; b < n_blocks; ++b) {
        std::byte* block = panel + form.block_at(first_block + b);
        if (form.has_header()) {
            if (b % QPanelForm::kSuperBlocks == 0) {
                std::byte* header = panel + form.header_at(first_block + b);
                lay_each(rows, b, &PackedBlock::scale, header);
                if (f.has_min) lay_each(rows, b, &PackedBlock::min, header + 32);
            }
            if (!f.has_half) lay_each(rows, b, &PackedBlock::scale_code, block);
            if (f.has_min && !f.has_half_min) lay_each(rows, b, &PackedBlock::min_code, block + form.mins_at());
        } else {
            lay_each(rows, b, &PackedBlock::scale, block);
            if (f.has_min) lay_each(rows, b, &PackedBlock::min, block + form.mins_at());
        }
        if (f.has_half) lay_each(rows, b, &PackedBlock::half, block + form.halves_at());
        if (f.has_half_min) lay_each(rows, b, &PackedBlock::half_min, block + form.half_mins_at());
        lay_planes(rows, b, f.bits, block + form.codes_at());
    }
}

}  // namespace freehold
