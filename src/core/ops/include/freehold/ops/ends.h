// Both ends of a decoder: embedding of tokens, the activation inside the MLP, logits, and log-probabilities in chunks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "freehold/kernels/weight.h"
#include "freehold/ops/batch.h"
#include "freehold/ops/exec.h"
#include "freehold/ops/linear.h"

namespace freehold {

struct Embedding {
    const Weight* table = nullptr;  // [vocab, d]; null: x holds its rows already
    float scale = 1.0F;
    const Weight* positions = nullptr;  // learned: [n_positions, d], or null
    std::int32_t position_offset = 0;   // row = position + offset
    ParamId table_id = kFrozen, positions_id = kFrozen;
    const float* types = nullptr;  // [token types, d], or null
    const Norm* norm = nullptr;    // over the sum, or null
};
// x[t] = scale * table[token t] (+ positions[position t + offset]) (+ types[type t]), then the norm. `types` of the
// rows may be empty (all 0). Types belong to encoders and are not recorded: Error{internal} under a tape.
void embed(Exec& exec, const Embedding& e, std::span<const Token> tokens, std::span<const std::int32_t> positions,
           const Mat& x, std::span<const std::uint8_t> types = {});

// out = act(gate) * up, or act(gate) when up.v is null. Without a tape out may be gate.
void act(Exec& exec, Activation activation, const Mat& gate, const Mat& up, const Mat& out);

// out = the clamped unit of both (Kernels::clamped_glu). Without a tape out may be gate.
void act_clamped_glu(Exec& exec, const ClampedGlu& shape, const Mat& gate, const Mat& up, const Mat& out);

// The activation of Apertus as a layer has it: its numbers, and how they follow from what is trained (softplus).
struct Xielu {
    XieluShape shape;
    float p_slope = 0, n_slope = 0;          // derivatives of alpha_p and alpha_n by the stored numbers
    ParamId p_id = kFrozen, n_id = kFrozen;  // one number each
};
// out = xielu(in). Without a tape out may be in. `x` must live until the tape has run backwards.
void act_xielu(Exec& exec, const Xielu& x, const Mat& in, const Mat& out);

// One vector for each segment of the batch: out [segments][d]. `norm` (kind none: none) goes over the rows that count
// first, in place. mean: over all rows of the segment, one chain in their order; cls: the first row; last: the last.
enum class Pooling : std::uint8_t { mean, cls, last };
void pool(Exec& exec, const Batch& batch, const Norm& norm, Pooling pooling, const Mat& x, std::span<float> out);
// Divides by the Euclidean length; a vector of zeros stays one.
void to_unit_length(std::span<float> v) noexcept;

// The last steps: final norm, head, scale, cap.
struct Head {
    const Norm* norm = nullptr;      // kind none: no final norm
    const Linear* linear = nullptr;  // [vocab, d]
    float scale = 1.0F;
    float softcap = 0.0F;
};
// logits [number of rows that want them][vocab], in row order. probes may be null.
void final_logits(Exec& exec, const Head& head, const Mat& x, std::span<const std::uint8_t> wants,
                  std::span<float> logits, const Probes* probes);
[[nodiscard]] std::size_t final_logits_scratch(std::size_t rows, std::size_t d) noexcept;

// Log-probability of targets[t] after row t, for rows whose target is not kNoTarget (others get 0 and cost nothing).
// Works through the rows in chunks: the logits of a batch never exist together. With a tape, `upstream` [rows] is the
// gradient of the loss with respect to each log-probability; it is read when the tape runs backwards and must live so
// long.
void row_logprob(Exec& exec, const Head& head, const Mat& x, std::span<const Token> targets, std::span<double> logprobs,
                 std::span<const float> upstream);
[[nodiscard]] std::size_t row_logprob_scratch(std::size_t rows, std::size_t d, std::size_t vocab) noexcept;

}  // namespace freehold
