// Quantised panels times q8 activations on AVX2 without VNNI.
// The tiles stand in q8_tiles.h, the dot in q8_pairs.h, one row of formats that cost most in q8_one.h,
// many rows of the usual formats in q8_many.h and, where codes fill a byte, q8_wide.h.
#include "q8_many.h"
#include "q8_one.h"
#include "q8_wide.h"
#include "table.h"

namespace freehold::avx2 {

void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid) {
    if (T == 1) {
        if (const OneRow one = one_row_of(form.form); one != nullptr) {
            if (n_valid == kPanelRows) return one(panel, Rows(x, t0), y);
            alignas(32) float whole[kPanelRows];
            one(panel, Rows(x, t0), whole);
            std::memcpy(y, whole, static_cast<std::size_t>(n_valid) * sizeof(float));
            return;
        }
    }
    if (T > Pairs::kTile && n_valid == kPanelRows) {
        if (x.wide != nullptr && is_wide(form.form)) return wide_rows(form, panel, Rows(x, t0), T, y, ldy);
        if (const ManyRows many = many_rows_of(form.form); many != nullptr)
            return many(kind_of<Pairs>(form.form), form, panel, Rows(x, t0), T, y, ldy);
    }
    any_panel<Pairs>(x, t0, T, form, panel, y, ldy, n_valid);
}

}  // namespace freehold::avx2
