// Sixteen rows laid side by side, the last step of every panel: words of four bytes, four by four.
// The layout is told in kernels.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "freehold/kernels/kernels.h"

namespace freehold {

// out[16 * w + r] = rows[r][w] for w in [0, n). No alignment is asked for.
void lay_words(const std::uint32_t* const rows[kPanelRows], std::size_t n, std::uint32_t* out) noexcept;

// As pack_q_panel, from blocks that a codec packed itself; every row must be there. Scales are F16 or of the super
// form.
void lay_q_panel(const QPanelForm& form, const PackedBlock* const rows[kPanelRows], std::size_t first_block,
                 std::size_t n_blocks, std::byte* panel) noexcept;

}  // namespace freehold
