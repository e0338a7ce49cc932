// The table of AVX-VNNI: AVX2's, with the products of quantised panels by vpdpbusd.
// Needs AVX-VNNI (the VEX form of the instruction) beside what AVX2's table needs.
#pragma once

#include "avx2/table.h"

namespace freehold::avxvnni {

// products_q8.cpp
void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid);
// peaks.cpp
double peak_int8(std::size_t rounds);

inline constexpr Kernels kTable = [] {
    Kernels k = avx2::kTable;
    k.name = "avxvnni";
    k.panel_q8 = panel_q8;
    k.wants_wide_q8 = false;  // four products by one instruction need nothing wider
    return k;
}();

}  // namespace freehold::avxvnni
