// norm_linear: a norm or none, then the linears that share its rows. Forward, and backward in the order of NUMERICS
// rule 8.
#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "freehold/ops/adapter.h"
#include "freehold/ops/linear.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

// What a norm_linear needs again on the way back.
struct Kept {
    Norm norm;
    std::size_t rows = 0, cols = 0;
    const float* x = nullptr;      // input rows
    const float* xn = nullptr;     // normalised rows (x itself when there is no norm)
    const float* stats = nullptr;  // [rows][2]
    float* dx = nullptr;
};

// The shares of adapters in one of the outs.
struct AdaptedOut {
    Mat y;
    std::vector<AdaptedRows> rows;
};

void backward(Exec& exec, const Kept& kept, const std::vector<LinearOut>& outs,
              const std::vector<AdaptedOut>& adapted) {
    const std::size_t rows = kept.rows, cols = kept.cols;
    const std::size_t mark = exec.scratch.mark();
    const bool normed = kept.norm.kind != NormKind::none;
    float* const dxn = normed ? exec.scratch.take_array<float>(rows * cols) : kept.dx;
    if (normed) std::fill_n(dxn, rows * cols, 0.0F);
    for (const LinearOut& o : outs) linear_backward(exec, *o.linear, kept.xn, o.y.g, rows, dxn, exec.tape->chains());
    for (const AdaptedOut& o : adapted) {
        for (const AdaptedRows& r : o.rows) add_adapters_backward(exec, r, kept.xn, o.y.g, dxn);
    }
    if (normed) {
        const float* const w = kept.norm.weight_data();
        for_rows(exec, rows, cols * 4, [&](std::size_t t) {
            norm_row_backward(kept.norm.kind, kept.x + t * cols, w, kept.stats + t * 2, cols, dxn + t * cols,
                              kept.dx + t * cols);
        });
        norm_param_backward(exec, kept.norm, kept.x, kept.stats, dxn, cols, 1);
    }
    exec.scratch.reset(mark);
}

}  // namespace

std::size_t norm_linear_scratch(std::size_t rows, std::size_t cols) noexcept {
    return mat_bytes(rows, cols) + Prepared::bytes_needed(Profile::q8, rows, cols) +
           Prepared::bytes_needed(Profile::bf16, rows, cols) + 256;
}

Prepared take_prepared(Exec& exec, Profile profile, const float* x, std::size_t rows, std::size_t cols) {
    const std::size_t bytes = Prepared::bytes_needed(profile, rows, cols);
    return {profile, x, cols, rows, cols, bytes == 0 ? nullptr : exec.scratch.take(bytes)};
}

void norm_linear(Exec& exec, const Norm& norm, const Mat& x, std::span<const LinearOut> outs,
                 const Adapters* adapters) {
    const std::size_t rows = x.rows, cols = x.cols;
    Tape* const tape = exec.tape;
    const std::size_t mark = exec.scratch.mark();
    const bool normed = norm.kind != NormKind::none;

    // The residual stream is changed in place later, so a tape keeps the rows as they are now.
    const float* const input = tape != nullptr ? tape->keep_copy(x.v, rows * cols) : x.v;
    float* stats = nullptr;
    float* xn = nullptr;
    if (normed) {
        xn = tape != nullptr ? tape->keep(rows * cols) : exec.scratch.take_array<float>(rows * cols);
        if (tape != nullptr) stats = tape->keep(rows * 2);
    }
    const float* const shared = normed ? xn : input;

    // One preparation for each kind of compute among the linears (a file may mix quantised and float matrices).
    std::optional<Prepared> prepared[3];
    const Prepared* of[kMaxLinearOuts] = {};
    for (std::size_t i = 0; i < outs.size(); ++i) {
        std::optional<Prepared>& p = prepared[static_cast<std::size_t>(outs[i].linear->w.profile())];
        if (!p) p.emplace(take_prepared(exec, outs[i].linear->w.profile(), shared, rows, cols));
        of[i] = &*p;
    }
    const float* const w = norm.weight_data();
    const float* const b = norm.bias_data();
    for_rows(exec, rows, cols * 4, [&](std::size_t t) {
        if (normed) {
            exec.kernels.norm_row(norm.kind, input + t * cols, w, b, norm.eps, cols, xn + t * cols,
                                  stats == nullptr ? nullptr : stats + t * 2);
        }
        for (const auto& p : prepared) {
            if (p) p->run_row(exec.kernels, t);
        }
    });

    Product products[kMaxLinearOuts];
    for (std::size_t i = 0; i < outs.size(); ++i) {
        products[i] = {&outs[i].linear->w, of[i], outs[i].y.v, outs[i].y.cols, outs[i].linear->bias_data(), false};
    }
    multiply(exec.kernels, exec.threads, std::span(products, outs.size()));

    std::vector<AdaptedOut> adapted;
    if (adapters != nullptr) [[unlikely]] {
        if (tape == nullptr) {
            add_adapters(exec, *adapters, shared, cols, outs);
        } else {
            for (const LinearOut& o : outs)
                adapted.push_back({o.y, add_adapters(exec, *adapters, shared, cols, {&o, 1})});
        }
    }

    if (tape != nullptr) {
        tape->push([kept = Kept{norm, rows, cols, input, shared, stats, x.g},
                    list = std::vector<LinearOut>(outs.begin(), outs.end()),
                    adapted = std::move(adapted)](Exec& e) { backward(e, kept, list, adapted); });
    }
    exec.scratch.reset(mark);
}

void linear_backward(Exec& exec, const Linear& linear, const float* x, const float* dy, std::size_t rows, float* dx,
                     std::span<const Chain> chains) {
    const std::size_t n = linear.n_out(), k = linear.n_in();
    if (dx != nullptr && rows > 0) {
        multiply_transposed(exec.kernels, exec.threads, dy, rows, n,
                            reinterpret_cast<const float*>(linear.w.tensor().data()), k, dx, true);
    }
    Gradients* const grads = exec.tape->gradients();
    if (grads == nullptr) return;
    for (const Chain& c : chains) {
        if (linear.w_id != kFrozen) {
            float* const dw = grads->leaf(linear.w_id);
            if (c.begin == c.end) std::fill_n(dw, n * k, 0.0F);
            outer_product(exec.kernels, exec.threads, dy + c.begin * n, c.end - c.begin, n, x + c.begin * k, k, dw);
            grads->push(exec, linear.w_id);
        }
        if (linear.b_id != kFrozen) {
            float* const db = grads->leaf(linear.b_id);
            std::fill_n(db, n, 0.0F);
            for (std::size_t t = c.begin; t < c.end; ++t) exec.kernels.add(db, dy + t * n, db, n);
            grads->push(exec, linear.b_id);
        }
    }
}

}  // namespace freehold
