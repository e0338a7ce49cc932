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
    std::int16_t* wide = nullptr;  // [T][wide_ld()] the codes once more in 16 bits, for Kernels::wants_wide_q8; or null
    // A line more than a row needs: rows whose distance is a power of two throw each other out of the caches.
    [[nodiscard]] constexpr std::size_t wide_ld() const noexcept { return padded_k + kQBlock; }
};
// Blocks whose largest magnitude is under this count as zeros (127 / amax would leave the range of floats); a block
// with an infinity or NaN gets scale NaN and codes 0, so that the fault shows in every output it feeds.
inline constexpr float kQ8Smallest = 0x1p-100F;

// --- one panel of 16 rows of a quantised weight
// ------------------------------------------------------------------------
// Blocks follow each other, one per 32 inputs. With ScaleForm::super a header stands before every eight of them:
// [scale F16 x16][min F16 x16, if any]. A block is
//   [scales x16][mins x16, if any]  F32 or F16; super: one int8 each, and none of a kind that has halves
//   [halves x16x2 int8, if any][half minimums x16x2 uint8, if any]
//   [codes] in planes of 64 bytes, byte 4*row + i of a plane belongs to inputs 4g + i of the groups g = 0..7:
//     8 bits: plane g is group g.
//     4 bits, and the low four of 5 and 6: plane p of 4 holds group p in its low and group p + 4 in its high nibble.
//     2 bits, the low two of 3, the high two of 6: plane p of 2 holds group 4p + j in its bits 2j and 2j + 1.
//     1 bit, the high one of 3 and 5: bit g of the one plane belongs to group g.
//   Low planes come before high ones.
struct QPanelForm {
    QuantForm form{};
    static constexpr std::size_t kSuperBlocks = 8;  // blocks that share a header
    [[nodiscard]] constexpr bool has_header() const { return form.scales == ScaleForm::super; }
    [[nodiscard]] constexpr std::size_t header_bytes() const { return has_header() ? (form.has_min ? 64 : 32) : 0; }
    [[nodiscard]] constexpr std::size_t scale_bytes() const {
        return has_header() ? (form.has_half ? 0 : 16) : (form.scales == ScaleForm::f16 ? 32 : 64);
    }
    [[nodiscard]] constexpr std::size_t min_bytes() const {
        if (!form.has_min) return 0;
        return has_header() ? (form.has_half_min ? 0 : 16) : (form.scales == ScaleForm::f16 ? 32 : 64);
    }
    [[nodiscard]] constexpr std::size_t half_bytes() const { return form.has_half ? 32 : 0; }
    [[nodiscard]] constexpr std::size_t half_min_bytes() const { return form.has_half_min ? 32 : 0; }
    [[nodiscard]] constexpr std::size_t code_bytes() const { return std::size_t{64} * form.bits; }
    // Where things lie in a block.
    [[nodiscard]] constexpr std::size_t mins_at() const { return scale_bytes(); }
    [[nodiscard]] constexpr std::size_t halves_at() const { return mins_at() + min_bytes(); }
    [[nodiscard]] constexpr std::size_t half_mins_at() const { return halves_at() + half_bytes(); }
    [[nodiscard]] constexpr std::size_t codes_at() const { return half_mins_at() + half_min_bytes(); }
    [[nodiscard]] constexpr std::size_t block_bytes() const { return codes_at() + code_bytes(); }
    // Where block b and the header that serves it lie in a panel, and what n blocks take.
    [[nodiscard]] constexpr std::size_t header_at(std::size_t b) const {
        return has_header() ? b / kSuperBlocks * (header_bytes() + kSuperBlocks * block_bytes()) : 0;
    }
    [[nodiscard]] constexpr std::size_t block_at(std::size_t b) const {
        return has_header() ? header_at(b) + header_bytes() + b % kSuperBlocks * block_bytes() : b * block_bytes();
    }
    [[nodiscard]] constexpr std::size_t panel_bytes(std::size_t n) const {
        return n == 0 ? 0 : block_at(n - 1) + block_bytes();
    }
    // The same panel with a byte for each code, F32 scales and minimums and no header: what kernels expand to.
    [[nodiscard]] constexpr QPanelForm expanded() const {
        QPanelForm wide = *this;
        wide.form.bits = 8;
        wide.form.scales = ScaleForm::f32;
        wide.form.table = nullptr;
        return wide;
    }
};
// Packs 16 rows (rows beyond n_rows are zero) of n_blocks code blocks each, which become blocks [first_block, ...) of
// the panel; codes[r] may be null for r >= n_rows. With a header, first_block is a multiple of kSuperBlocks.
void pack_q_panel(const QPanelForm& form, const CodeBlock* const codes[kPanelRows], int n_rows, std::size_t first_block,
                  std::size_t n_blocks, std::byte* panel);

// --- rotary, activations, norms
// ------------------------------------------------------------------------------------------
enum class Activation : std::uint8_t { none, relu, silu, gelu_tanh, gelu_erf, quick_gelu };
enum class NormKind : std::uint8_t { none, rms, layer };
// The activation of Apertus (Huang and Schlag, arXiv:2411.13010): its numbers as they are multiplied.
struct XieluShape {
    float alpha_p = 0.8F, alpha_n = 0.8F, beta = 0.5F, eps = -1e-6F;
};

// --- attention of one tile of query rows over the pages of one KV head (NUMERICS rule 6)
// ----------------------------------
enum class KvType : std::uint8_t { F32, F16, Q8_0 };
inline constexpr int kPageTokens = 16;  // keys in a page: one panel
inline constexpr int kKvQuant = 32;     // numbers of a head that share a scale in Q8_0
// A page holds, per layer of its group and KV head, K as [D][16] (lanes are keys) and V as [16][Dv], in the KV type;
// with Q8_0 the scales stand behind each (kv_page.h).
struct AttendTask {
    const std::byte* const* pages = nullptr;  // the sequence's pages, index = position / 16
    std::size_t k_offset = 0, v_offset = 0;   // bytes from the start of a page to K and V of this layer and KV head
    KvType type = KvType::F16;
    int head_dim = 0, v_dim = 0;
    // Latent attention: a page holds K alone, and the value of a key is its first v_dim numbers. The same bits as if
    // these had been stored as values too; v_offset is not read.
    bool v_in_k = false;
    int n_rows = 0;                       // query rows of this tile (tokens x query heads of the group)
    const float* const* q = nullptr;      // n_rows pointers to [head_dim], not yet scaled
    float* const* out = nullptr;          // n_rows pointers to [v_dim]
    const std::int32_t* first = nullptr;  // n_rows: lowest key position that the row may see (window), inclusive
    const std::int32_t* last = nullptr;   // n_rows: highest key position, inclusive (its own, when causal)
    float scale = 1.0F;                   // multiplies q before the products
    float softcap = 0.0F;                 // 0: none; else s = cap * tanh(s / cap)
    // Both or neither, n_rows each (ALiBi): `slope` times (key - at) is added to a score, by one fma.
    const float* slope = nullptr;
    const std::int32_t* at = nullptr;  // the row's own position; with `bias` too
    // n_rows or null: a score without a value that has its share of each row's probability (with_sink), in what is
    // divided alone.
    const float* sink = nullptr;
    // n_rows or null (relative positions): bias[row][key - at] is added to a score. Distances beyond +-bias_reach count
    // as that one; bias[row] can be read from -(bias_reach + kKvBlock) to bias_reach + kKvBlock - 1.
    const float* const* bias = nullptr;
    int bias_reach = 0;
    float* logsumexp = nullptr;  // n_rows or null: max + log(sum), for the backward pass
    // Both or neither, n_rows each: `out` then receives the weighted values not yet divided, with their maximum and sum
    // beside them (0, minus infinity and 0 for a row that sees no key). Spans that were computed apart are merged with
    // these, in order, to the same bits.
    float* max = nullptr;
    float* sum = nullptr;
    std::byte* scratch = nullptr;  // attend_scratch_bytes(...) bytes, 64-byte aligned
};

// What a row's largest score and sum become beside a sink, and what its summed values are multiplied with: the sink is
// one more span, the last, of one key whose value is zero. Values are then divided by the sum.
struct WithSink {
    float max, sum, factor;
};
[[nodiscard]] WithSink with_sink(float max, float sum, float sink) noexcept;

// The gated unit of gpt-oss: both inputs are clamped, and the gate's sigmoid is steeper than SiLU's.
struct ClampedGlu {
    float alpha = 1.702F, limit = 7.0F;
};

struct Kernels {
    const char* name = "";  // "scalar", "avx2", "avxvnni", "avx512", "avx512bf16", "neon", "neondot"

    // y[t*ldy + j] = sum_k x[t*ldx + k*x_step] * panel[k*panel_stride + j], one fma chain per output, k ascending from
    // acc = 0 (or from y when `accumulate`), for j in [0, n_valid); nothing beyond j = n_valid is read or written.
    // Weights: x_step 1, panel_stride 16. The strides let the backward pass read matrices as they lie.
    void (*panel_f32)(const float* x, std::size_t ldx, std::size_t x_step, std::size_t T, const float* panel,
                      std::size_t panel_stride, std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate);
    // As above on BF16 pairs: panel [K/2][16][2], x already rounded to BF16 [T][ldx], K even (pad with zeros). Rule 2.
    void (*panel_bf16)(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel,
                       std::size_t K, float* y, std::size_t ldy, int n_valid);
    // The same for many rows that were widened before: x as F32 [T][ldx], the second number of each pair before the
    // first (which is the order of the sums). Null where BF16 is multiplied as it is, or nothing is gained.
    void (*panel_bf16_wide)(const float* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                            float* y, std::size_t ldy, int n_valid) = nullptr;
    // Rule 4. x: rows [t0, t0+T) of the quantised activations; y as above.
    void (*panel_q8)(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel,
                     float* y, std::size_t ldy, int n_valid);
    // Whether panel_q8 is faster for many rows when Q8Rows::wide holds the codes too.
    bool wants_wide_q8 = false;
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
    // y = alpha_p x^2 + beta x for x > 0, else alpha_n (expm1(min(x, eps)) - x) + beta x. y may be x.
    void (*xielu)(const XieluShape& shape, const float* x, float* y, std::size_t n);
    // y = (u + 1) * g * sigmoid(alpha g), g = min(gate, limit), u = up held to -limit..limit. y may be gate or up.
    void (*clamped_glu)(const ClampedGlu& shape, const float* gate, const float* up, float* y, std::size_t n);
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

// v_in_k as in the task; then each tile of rows keeps what it carries in so many bytes.
inline constexpr std::size_t kAttendTileBytes = 1024;
[[nodiscard]] std::size_t attend_scratch_bytes(int n_rows, int head_dim, int v_dim, bool v_in_k = false) noexcept;

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
