// A matrix that rows of activations are multiplied with: panels made once from a Tensor of any dtype, or made on the
// fly from the mapped file when repacking is turned off. The only place where dtype, profile and kernel meet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "freehold/base/threads.h"
#include "freehold/kernels/kernels.h"
#include "freehold/tensor/tensor.h"

namespace freehold {

enum class Profile : std::uint8_t { f32, bf16, q8 };
[[nodiscard]] const char* profile_name(Profile p) noexcept;
[[nodiscard]] std::optional<Profile> profile_from_name(std::string_view name) noexcept;

// How a weight of this dtype is computed with under a profile: under q8 a weight that is not quantised is taken as
// in bf16 (BF16 files) or f32 (F32, F16 files), so that a file's float matrices lose nothing.
[[nodiscard]] Profile effective_profile(Profile profile, DType dtype) noexcept;

// Activations prepared once for all products that share them (q, k, v; gate, up).
class Prepared;

struct Product;

class Weight {
 public:
    Weight() = default;
    // W is [N, K]. repack: build panels now (counted by panel_bytes()) and let the mapped pages of the tensor go;
    // otherwise expand panel by panel at every product, with equal bits.
    Weight(Tensor w, Profile profile, bool repack, ThreadPool& threads);
    // Panels that were made before, by this class from this tensor under this profile: panels_needed() bytes, aligned
    // to 64, kept alive by the pointer. They are only read.
    Weight(Tensor w, Profile profile, std::shared_ptr<const std::byte> panels);
    // Bytes of the panels of such a weight. Throws Error{internal} for a tensor without two dimensions.
    [[nodiscard]] static std::size_t panels_needed(const Tensor& w, Profile profile);
    [[nodiscard]] std::int64_t n_out() const noexcept { return n_; }
    [[nodiscard]] std::int64_t n_in() const noexcept { return k_; }
    [[nodiscard]] const Tensor& tensor() const noexcept { return tensor_; }
    [[nodiscard]] Profile profile() const noexcept { return profile_; }
    [[nodiscard]] std::size_t panel_bytes() const noexcept;
    // All panels one after another; empty without repacking.
    [[nodiscard]] std::span<const std::byte> panels() const noexcept { return {panels_.get(), panel_bytes()}; }
    [[nodiscard]] bool empty() const noexcept { return n_ == 0; }
    // How the panels of a quantised weight are laid out.
    [[nodiscard]] const QPanelForm& q_form() const noexcept { return form_; }
    // Panels again from the tensor's present values (training: the tensor is F32 and writable). Error{internal} for
    // panels that came from elsewhere.
    void renew(ThreadPool& threads);
    // Row r as F32 (embedding lookup), exact expansion.
    void row_f32(std::int64_t r, float* out) const;

 private:
    friend void multiply(const Kernels&, ThreadPool&, std::span<const Product>);
    [[nodiscard]] std::int64_t n_panels() const noexcept { return (n_ + kPanelRows - 1) / kPanelRows; }
    void build_panel(std::int64_t panel, std::byte* out) const noexcept;
    Weight(Tensor w, Profile profile);  // everything but the panels
    Tensor tensor_;
    Profile profile_ = Profile::f32;
    std::int64_t n_ = 0, k_ = 0;
    std::shared_ptr<const std::byte> panels_;
    std::byte* own_ = nullptr;  // the same memory where it is this weight's own to write
    std::size_t panel_stride_ = 0;
    QPanelForm form_;
};

// T rows of F32 activations and their quantised or rounded forms, made once. Buffers come from the caller's arena:
// bytes_needed() says how much. Rows: x + t * ldx.
class Prepared {
 public:
    static std::size_t bytes_needed(Profile profile, std::size_t T, std::size_t K) noexcept;
    Prepared(Profile profile, const float* x, std::size_t ldx, std::size_t T, std::size_t K,
             std::byte* buffer) noexcept;
    // Fills the buffers (rows spread over the pool); for f32 nothing is to be done.
    void run(const Kernels& k, ThreadPool& threads) const;
    // One row, for callers that fuse this with what makes the row.
    void run_row(const Kernels& k, std::size_t t) const noexcept { run_row(k, t, x + t * ldx); }
    // The same from a row that lies elsewhere (not for f32, whose products read x).
    void run_row(const Kernels& k, std::size_t t, const float* row) const noexcept;

    Profile profile;
    const float* x;
    std::size_t ldx, T, K;
    Q8Rows q8;
    std::uint16_t* bf16 = nullptr;  // [T][Kp], Kp even
    float* wide = nullptr;          // many rows: [T][Kp] for Kernels::panel_bf16_wide, filled where that is not null
    std::size_t bf16_ld = 0;
};

// y[T, N] = x Wᵀ (+ bias). Several products in one call share a barrier: rows of all of them are split by bytes.
struct Product {
    const Weight* w = nullptr;
    const Prepared* x = nullptr;
    float* y = nullptr;
    std::size_t ldy = 0;
    const float* bias = nullptr;  // [N] or null, added after the chain
    bool add_to_y = false;        // y = y + (x Wᵀ + bias), one rounding each
};
void multiply(const Kernels& k, ThreadPool& threads, std::span<const Product> products);

// For the backward pass, F32 row-major operands, chains in the order of NUMERICS rule 8:
// dx[t,k] (+)= sum_n dy[t,n] W[n,k], n ascending; the chain starts from 0, or from dx when `accumulate`.
void multiply_transposed(const Kernels& k, ThreadPool& threads, const float* dy, std::size_t T, std::size_t N,
                         const float* w, std::size_t K, float* dx, bool accumulate);
// dW[n,k] = sum_t dy[t,n] x[t,k], t ascending from 0.
void outer_product(const Kernels& k, ThreadPool& threads, const float* dy, std::size_t T, std::size_t N, const float* x,
                   std::size_t K, float* dw);

}  // namespace freehold
