// The inner loops: one table of function pointers, filled by the scalar reference and by each instruction set, chosen
// once at start. Every entry gives the same bits in every table (docs/numerics.md); tests hold them against `scalar`.
//
// Legend: T rows of activations (tokens), K inputs, N outputs (rows of W), 16 outputs to a panel, 32 inputs to a q8
// block, D head dimension. No entry allocates or throws; no alignment is asked for unless said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "freehold/tensor/dtype.h"

namespace freehold {

inline constexpr int kPanelRows = 16;  // outputs that one vector lane set holds
inline constexpr int kQBlock = 32;     // inputs that share an activation scale
inline constexpr int kKvBlock = 64;    // keys between two updates of the running maximum
inline constexpr int kKvSpan = 1024;   // keys of one span; spans are merged in order

// --- activations in q8 form (NUMERICS rule 3): T rows of K values, K padded with zeros to a multiple of 32 ---------
struct Q8Rows {
    std::int8_t* codes = nullptr;  // [T][Kp]
    float* scale = nullptr;        // [T][Kp/32]  amax/127
    std::int32_t* sum = nullptr;   // [T][Kp/32]  sum of the 32 codes
    std::int16_t* half = nullptr;  // [T][Kp/32][2] sums of each 16
    float* fsum = nullptr;         // [T][Kp/32]  float(sum)*scale, what a minimum is multiplied with
    std::size_t padded_k = 0;      // Kp
};
// Blocks whose largest magnitude is under this count as zeros (127 / amax would leave the range of floats); a block
// with an infinity or NaN gets scale NaN and codes 0, so that the fault shows in every output it feeds.
inline constexpr float kQ8Smallest = 0x1p-100F;

// --- one panel of 16 rows of a quantised weight
// ------------------------------------------------------------------------ Blocks follow each other, one per 32 inputs:
// [scales 16][mins 16, if any][halves 16x2 int8, if any][codes].
//   scales and mins: F16 or F32 (f16_scale).
//   codes, 8 bits: 8 groups of 64 bytes, group g = [row 0..15][input 4g..4g+3], one u8 each.
//   codes, 4 bits: 4 groups of 64 bytes, byte = code of group g (low nibble) | code of group g+4 (high nibble).
struct QPanelForm {
    QuantForm form{};
    [[nodiscard]] constexpr std::size_t scale_bytes() const { return form.f16_scale ? 32 : 64; }
    [[nodiscard]] constexpr std::size_t min_bytes() const { return form.has_min ? scale_bytes() : 0; }
    [[nodiscard]] constexpr std::size_t half_bytes() const { return form.has_half ? 32 : 0; }
    [[nodiscard]] constexpr std::size_t code_bytes() const { return form.bits == 4 ? 256 : 512; }
    [[nodiscard]] constexpr std::size_t block_bytes() const {
        return scale_bytes() + min_bytes() + half_bytes() + code_bytes();
    }
};
// Packs 16 rows (rows beyond n_rows are zero) of n_blocks code blocks each; codes[r] may be null for r >= n_rows.
void pack_q_panel(const QPanelForm& form, const CodeBlock* const codes[kPanelRows], int n_rows, std::size_t n_blocks,
                  std::byte* panel);

// --- rotary, activations, norms
// ------------------------------------------------------------------------------------------
enum class Activation : std::uint8_t { none, relu, silu, gelu_tanh, gelu_erf, quick_gelu };
enum class NormKind : std::uint8_t { none, rms, layer };

// --- attention of one tile of query rows over the pages of one KV head (NUMERICS rule 6)
// ----------------------------------
enum class KvType : std::uint8_t { F32, F16 };  // Q8_0 follows with the speed issue
inline constexpr int kPageTokens = 16;          // keys in a page: one panel
// A page holds, per layer of its group and KV head, K as [D][16] (lanes are keys) and V as [16][Dv], in the KV type.
struct AttendTask {
    const std::byte* const* pages = nullptr;  // the sequence's pages, index = position / 16
    std::size_t k_offset = 0, v_offset = 0;   // bytes from the start of a page to K and V of this layer and KV head
    KvType type = KvType::F16;
    int head_dim = 0, v_dim = 0;
    int n_rows = 0;                       // query rows of this tile (tokens x query heads of the group)
    const float* const* q = nullptr;      // n_rows pointers to [head_dim], not yet scaled
    float* const* out = nullptr;          // n_rows pointers to [v_dim]
    const std::int32_t* first = nullptr;  // n_rows: lowest key position that the row may see (window), inclusive
    const std::int32_t* last = nullptr;   // n_rows: highest key position, inclusive (its own, when causal)
    float scale = 1.0F;                   // multiplies q before the products
    float softcap = 0.0F;                 // 0: none; else s = cap * tanh(s / cap)
    float* logsumexp = nullptr;           // n_rows or null: max + log(sum), for the backward pass
    std::byte* scratch = nullptr;         // attend_scratch_bytes(...) bytes, 64-byte aligned
};

struct Kernels {
    const char* name = "";  // "scalar", "avx2"

    // y[t*ldy + j] = sum_k x[t*ldx + k*x_step] * panel[k*panel_stride + j], one fma chain per output, k ascending from
    // acc = 0 (or from y when `accumulate`), for j in [0, n_valid); nothing beyond j = n_valid is read or written.
    // Weights: x_step 1, panel_stride 16. The strides let the backward pass read matrices as they lie.
    void (*panel_f32)(const float* x, std::size_t ldx, std::size_t x_step, std::size_t T, const float* panel,
                      std::size_t panel_stride, std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate);
    // As above on BF16 pairs: panel [K/2][16][2], x already rounded to BF16 [T][ldx], K even (pad with zeros). Rule 2.
    void (*panel_bf16)(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel,
                       std::size_t K, float* y, std::size_t ldy, int n_valid);
    // Rule 4. x: rows [t0, t0+T) of the quantised activations; y as above.
    void (*panel_q8)(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel,
                     float* y, std::size_t ldy, int n_valid);
    // Rule 3, one row: K values into row t of `out`.
    void (*quantize_row)(const float* x, std::size_t K, const Q8Rows& out, std::size_t t);
    void (*to_bf16)(const float* x, std::uint16_t* y, std::size_t n);
    void (*f16_to_f32)(const std::uint16_t* x, float* y, std::size_t n);
    void (*f32_to_f16)(const float* x, std::uint16_t* y, std::size_t n);

    // One row; sums by rule 5. rms: y = x * rsqrt(mean(x^2) + eps) * (w ? w : 1). layer: with mean removed, bias b or
    // null. stats, or null: [0] = mean (layer), [1] = 1/sqrt(...), for the backward pass. y may be x.
    void (*norm_row)(NormKind kind, const float* x, const float* w, const float* b, float eps, std::size_t n, float* y,
                     float* stats);
    // y = act(gate) * up when up is given, else act(gate). y may be gate.
    void (*activate)(Activation act, const float* gate, const float* up, float* y, std::size_t n);
    void (*add)(const float* a, const float* b, float* y, std::size_t n);  // y = a + b
    void (*add_scaled)(float s, const float* x, float* y, std::size_t n);  // y = fma(s, x, y)
    void (*scale)(float s, float* x, std::size_t n);
    // Rotates n_dims of a head in place; cs = cos[n_dims/2] then sin[n_dims/2]. interleaved: pairs (2i, 2i+1), else (i,
    // i+n_dims/2).
    void (*rope)(float* head, const float* cs, int n_dims, bool interleaved);
    void (*attend)(const AttendTask& task);
    // Sampling reductions over a row of logits. Ties go to the lower index.
    std::size_t (*argmax)(const float* x, std::size_t n);
    float (*max_value)(const float* x, std::size_t n);
    // sum of exp(x[i] - max) by rule 5, in double lanes; y, or null, receives the exponentials.
    double (*exp_sum)(const float* x, float max, std::size_t n, float* y);
    void (*softcap)(float cap, float* x, std::size_t n);
};

[[nodiscard]] std::size_t attend_scratch_bytes(int n_rows, int head_dim, int v_dim) noexcept;

// The functions of rule 1 as scalars, bit-equal to what the vectors compute.
[[nodiscard]] float fh_exp(float x) noexcept;
[[nodiscard]] float fh_tanh(float x) noexcept;
[[nodiscard]] float fh_erf(float x) noexcept;
[[nodiscard]] float fh_log(float x) noexcept;
[[nodiscard]] double fh_log_double(double x) noexcept;
// sin and cos of position * frequency for the rotary tables, accurate for positions to 2^20: double arithmetic, no
// libm.
void fh_sincos(double x, double& s, double& c) noexcept;
[[nodiscard]] double fh_pow(double base, double exponent) noexcept;  // base > 0

// The scalar reference; the tables of this build that this CPU can run (best last); the one in force: best, or what
// FREEHOLD_ISA names (Error{usage} with the list if it cannot be had).
[[nodiscard]] const Kernels& scalar_kernels() noexcept;
[[nodiscard]] std::span<const Kernels* const> available_kernels() noexcept;
[[nodiscard]] const Kernels& active_kernels();
[[nodiscard]] const Kernels* find_kernels(std::string_view name) noexcept;

}  // namespace freehold
