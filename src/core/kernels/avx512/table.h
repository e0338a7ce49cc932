// The entries of the AVX-512 tables, by file: `avx512` (F, BW, DQ, VL, VNNI), and `avx512bf16` with BF16 dots as well.
// See kernels.h for what each one does and docs/numerics.md for its order.
#pragma once

#include "avx2/table.h"

namespace freehold::avx512 {

// products.cpp
void panel_f32(const float* x, std::size_t ldx, std::size_t x_step, std::size_t T, const float* panel,
               std::size_t panel_stride, std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate);
void panel_bf16(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                float* y, std::size_t ldy, int n_valid);
// products_bf16.cpp
void panel_bf16_dots(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                     float* y, std::size_t ldy, int n_valid);
// products_q8.cpp
void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid);
// convert.cpp
void quantize_row(const float* x, std::size_t K, const Q8Rows& out, std::size_t t);
void to_bf16(const float* x, std::uint16_t* y, std::size_t n);
void f16_to_f32(const std::uint16_t* x, float* y, std::size_t n);
void f32_to_f16(const float* x, std::uint16_t* y, std::size_t n);
// rows.cpp
void norm_row(NormKind kind, const float* x, const float* w, const float* b, float eps, std::size_t n, float* y,
              float* stats);
void activate(Activation act, const float* gate, const float* up, float* y, std::size_t n);
void xielu(const XieluShape& s, const float* x, float* y, std::size_t n);
void clamped_glu(const ClampedGlu& s, const float* gate, const float* up, float* y, std::size_t n);
void add(const float* a, const float* b, float* y, std::size_t n);
void add_scaled(float s, const float* x, float* y, std::size_t n);
void scale(float s, float* x, std::size_t n);
void rope(float* head, const float* cs, int n_dims, bool interleaved);
std::size_t argmax(const float* x, std::size_t n);
float max_value(const float* x, std::size_t n);
double exp_sum(const float* x, float max, std::size_t n, float* y);
void softcap(float cap, float* x, std::size_t n);
// attend.cpp
void attend(const AttendTask& task);
// peaks.cpp and peaks_bf16.cpp, see isa/isa.h
double peak_f32(std::size_t rounds);
double peak_int8(std::size_t rounds);
double peak_bf16(std::size_t rounds);
double peak_bf16_dots(std::size_t rounds);
std::uint64_t peak_read(const std::byte* memory, std::size_t bytes);

inline constexpr Kernels kTable{.name = "avx512",
                                .panel_f32 = panel_f32,
                                .panel_bf16 = panel_bf16,
                                .panel_q8 = panel_q8,
                                .quantize_row = quantize_row,
                                .to_bf16 = to_bf16,
                                .f16_to_f32 = f16_to_f32,
                                .f32_to_f16 = f32_to_f16,
                                .norm_row = norm_row,
                                .activate = activate,
                                .xielu = xielu,
                                .clamped_glu = clamped_glu,
                                .add = add,
                                .add_scaled = add_scaled,
                                .scale = scale,
                                .rope = rope,
                                .attend = attend,
                                .argmax = argmax,
                                .max_value = max_value,
                                .exp_sum = exp_sum,
                                .softcap = softcap};

inline constexpr Kernels kTableBf16 = [] {
    Kernels k = kTable;
    k.name = "avx512bf16";
    k.panel_bf16 = panel_bf16_dots;
    return k;
}();

}  // namespace freehold::avx512
