// Parts of the scalar reference that live in files of their own.
// Other tables may borrow an entry that they have no faster form of.
#pragma once

#include "freehold/kernels/kernels.h"

namespace freehold::scalar {

void attend(const AttendTask& task);

void panel_f32(const float* x, std::size_t ldx, std::size_t x_step, std::size_t T, const float* panel,
               std::size_t panel_stride, std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate);
void panel_bf16(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                float* y, std::size_t ldy, int n_valid);
void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid);
void quantize_row(const float* x, std::size_t K, const Q8Rows& out, std::size_t t);

}  // namespace freehold::scalar
