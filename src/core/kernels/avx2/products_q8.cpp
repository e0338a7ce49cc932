// Quantised panels times q8 activations on AVX2 without VNNI.
// The tiles stand in q8_tiles.h, the dot in q8_pairs.h.
#include "q8_pairs.h"
#include "table.h"

namespace freehold::avx2 {

void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid) {
    any_panel<Pairs>(x, t0, T, form, panel, y, ldy, n_valid);
}

}  // namespace freehold::avx2
