// Adapters of low rank (Hu et al. 2021, "LoRA"): what is added to the linears of a model for some rows of a batch. An
// adapter belongs to the sequence and not to the weight, so requests with different adapters share one step and one
// copy of the weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "freehold/kernels/weight.h"
#include "freehold/ops/batch.h"
#include "freehold/ops/exec.h"
#include "freehold/ops/linear.h"

namespace freehold {

// One linear's share: y += (scale * (x Aᵀ)) Bᵀ, all in F32 whatever the profile of the model. Each product is a chain
// as NUMERICS rule 2 has it (k ascending from 0), the scale is applied between the two, and the sum is added to
// y = x Wᵀ + bias with one rounding.
struct LowRank {
    Weight a;  // [rank, in], profile f32
    Weight b;  // [out, rank], profile f32
    float scale = 1.0F;
    ParamId a_id = kFrozen, b_id = kFrozen;  // gradient slots where it is trained; A and B must then be F32 tensors
    [[nodiscard]] bool empty() const noexcept { return a.empty(); }
    [[nodiscard]] std::size_t rank() const noexcept { return static_cast<std::size_t>(a.n_out()); }
};

// Immutable while a forward runs, shared by all sequences that use it.
class Adapter {
 public:
    // pairs[p] belongs to the linear whose Linear::place is p; an empty one changes nothing. `owner` is the model that
    // they were checked against (Decoder::adapt): no other runs them.
    Adapter(std::vector<LowRank> pairs, const void* owner) : pairs_(std::move(pairs)), owner_(owner) {}
    [[nodiscard]] const LowRank* at(std::int32_t place) const noexcept {
        const auto p = static_cast<std::size_t>(place);
        return place < 0 || p >= pairs_.size() || pairs_[p].empty() ? nullptr : &pairs_[p];
    }
    [[nodiscard]] const void* owner() const noexcept { return owner_; }
    [[nodiscard]] std::span<const LowRank> pairs() const noexcept { return pairs_; }
    [[nodiscard]] std::uint64_t n_params() const noexcept;
    [[nodiscard]] std::uint64_t bytes() const noexcept;  // of the repacked matrices

 private:
    std::vector<LowRank> pairs_;
    const void* owner_;
};

// The adapters of one batch. Null adapters (no row has one) cost one branch.
class Adapters {
 public:
    // Keeps a reference to the batch, which must live as long.
    explicit Adapters(const Batch& batch) noexcept : batch_(batch) {}
    [[nodiscard]] static bool any(const Batch& batch) noexcept;
    [[nodiscard]] bool touches(const Linear& linear) const noexcept;
    [[nodiscard]] const Batch& batch() const noexcept { return batch_; }

 private:
    const Batch& batch_;
};

// Rows of one linear that got their share, for the way back: rows [first, first + n) of the batch.
struct AdaptedRows {
    const LowRank* pair = nullptr;
    std::size_t first = 0, n = 0;
    const float* low = nullptr;  // [n][rank], scale * (x Aᵀ)
};

// Adds to each out.y what the adapters of its rows say of out.linear. x: [rows of the batch][n_in of the linears].
// With a tape it returns what add_adapters_backward needs, one list for each of outs in turn; without one nothing is
// allocated. Takes at most adapter_scratch() of scratch, however many rows there are.
std::vector<AdaptedRows> add_adapters(Exec& exec, const Adapters& adapters, const float* x, std::size_t cols,
                                      std::span<const LinearOut> outs);
[[nodiscard]] std::size_t adapter_scratch() noexcept;
// x: as in the forward; dy [rows][n_out] is the gradient of that linear's output. Adds to dx (null: not wanted) and
// gives A and B their leaves, one for each chain and range of adapted rows in it.
void add_adapters_backward(Exec& exec, const AdaptedRows& rows, const float* x, const float* dy, float* dx);

}  // namespace freehold
