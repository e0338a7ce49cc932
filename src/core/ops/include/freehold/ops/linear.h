// The matrices and norms of a layer, and the two ops that every block is made of: norm -> linears, and linear -> add.
#pragma once

#include <cstdint>
#include <span>

#include "freehold/kernels/weight.h"
#include "freehold/ops/exec.h"
#include "freehold/ops/probe.h"
#include "freehold/tensor/tensor.h"

namespace freehold {

// Slot of a parameter's gradient in a Gradients object; kFrozen: no gradient is wanted.
using ParamId = std::int32_t;
inline constexpr ParamId kFrozen = -1;
class Adapters;
struct Chain;

// y = x Wᵀ + b. Immutable while a forward runs.
struct Linear {
    Weight w;
    Tensor bias;  // F32 [N] or empty
    ParamId w_id = kFrozen, b_id = kFrozen;
    std::int32_t place = -1;  // by which an adapter knows it (Adapter::at); -1: none changes it
    [[nodiscard]] const float* bias_data() const noexcept {
        return bias.empty() ? nullptr : reinterpret_cast<const float*>(bias.data());
    }
    [[nodiscard]] std::size_t n_out() const noexcept { return static_cast<std::size_t>(w.n_out()); }
    [[nodiscard]] std::size_t n_in() const noexcept { return static_cast<std::size_t>(w.n_in()); }
};

// A norm over a row (or over a head). kind none: the row as it is.
struct Norm {
    NormKind kind = NormKind::none;
    Tensor weight;  // F32 [n], what the row is really multiplied with (a family's "1 +" is in it), or empty
    Tensor bias;    // F32 [n] or empty
    float eps = 0;
    ParamId w_id = kFrozen, b_id = kFrozen;
    [[nodiscard]] const float* weight_data() const noexcept {
        return weight.empty() ? nullptr : reinterpret_cast<const float*>(weight.data());
    }
    [[nodiscard]] const float* bias_data() const noexcept {
        return bias.empty() ? nullptr : reinterpret_cast<const float*>(bias.data());
    }
};

// One product of a norm_linear: y must be [rows][linear.n_out()].
struct LinearOut {
    const Linear* linear = nullptr;
    Mat y;
};
inline constexpr std::size_t kMaxLinearOuts = 3;

// Norm, then up to three linears that share its rows: the rows are normalised, prepared (rounded, quantised) once.
// adapters: those of the batch whose rows these are, or null.
void norm_linear(Exec& exec, const Norm& norm, const Mat& x, std::span<const LinearOut> outs,
                 const Adapters* adapters = nullptr);
[[nodiscard]] std::size_t norm_linear_scratch(std::size_t rows, std::size_t cols) noexcept;

// x += post(in Wᵀ + b). post.kind none: added as it is, in the same call as the product when nobody looks.
// `look` sees what is added. adapters: as in norm_linear; where one has a share the branch is made apart too.
// place after: x = post(x + in Wᵀ + b) instead.
enum class PostPlace : std::uint8_t { branch, after_add };
void linear_add(Exec& exec, const Linear& linear, const Mat& in, const Norm& post, PostPlace place, const Mat& x,
                const Look& look, const Adapters* adapters = nullptr);
[[nodiscard]] std::size_t linear_add_scratch(std::size_t rows, std::size_t n_in, std::size_t n_out) noexcept;

// Rows of T x K prepared for `profile` in scratch memory, run_row() still to be called for each.
[[nodiscard]] Prepared take_prepared(Exec& exec, Profile profile, const float* x, std::size_t rows, std::size_t cols);

// --- parts that the backward passes share ----------------------------------------------------------------------------
// dx += gradient of the norm at x, given dy; stats as norm_row wrote them. n numbers.
void norm_row_backward(NormKind kind, const float* x, const float* w, const float* stats, std::size_t n,
                       const float* dy, float* dx);
// Gradients of a norm's weight and bias from all rows: chains over the rows of each packed row, then the tree.
void norm_param_backward(Exec& exec, const Norm& norm, const float* x, const float* stats, const float* dy,
                         std::size_t n, std::size_t groups);
// Gradients of a linear at inputs x [rows][n_in], output gradients dy [rows][n_out]: dx += dy W (when dx), and W's and
// b's, a leaf for each of `chains`, which are ranges of these rows; an empty one gives a leaf of zeros.
void linear_backward(Exec& exec, const Linear& linear, const float* x, const float* dy, std::size_t rows, float* dx,
                     std::span<const Chain> chains);

}  // namespace freehold
