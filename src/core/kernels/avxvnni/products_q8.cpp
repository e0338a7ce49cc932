// Quantised panels times q8 activations in 256-bit vectors with VNNI, for chips without AVX-512 (or with slow 512
// bits). All other entries of this table are those of AVX2.
#include "avxvnni/q8_quads.h"
#include "avxvnni/table.h"

namespace freehold::avxvnni {

void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid) {
    avx2::any_panel<avx2::Quads>(x, t0, T, form, panel, y, ldy, n_valid);
}

}  // namespace freehold::avxvnni
