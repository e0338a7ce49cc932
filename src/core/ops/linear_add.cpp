// linear_add: the last linear of a branch, a norm on it or none, and the addition to the residual. Forward and
// backward.
#include <algorithm>

#include "freehold/ops/adapter.h"
#include "freehold/ops/linear.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

struct Kept {
    const Linear* linear = nullptr;
    Norm post;
    PostPlace place = PostPlace::branch;
    Mat in, x;
    const float* normed_from = nullptr;  // what the post norm read, [rows][n_out]
    const float* stats = nullptr;
    std::vector<AdaptedRows> adapted;
};

void backward(Exec& exec, const Kept& k) {
    const std::size_t rows = k.in.rows, n = k.x.cols;
    const std::size_t mark = exec.scratch.mark();
    const float* dy = k.x.g;  // gradient of what the linear gave
    if (k.post.kind != NormKind::none) {
        float* const d = exec.scratch.take_array<float>(rows * n);
        std::fill_n(d, rows * n, 0.0F);
        norm_param_backward(exec, k.post, k.normed_from, k.stats, k.x.g, n, 1);
        for_rows(exec, rows, n * 4, [&](std::size_t t) {
            norm_row_backward(k.post.kind, k.normed_from + t * n, k.post.weight_data(), k.stats + t * 2, n,
                              k.x.g + t * n, d + t * n);
            // After the addition: the norm stands between both branches and what follows.
            if (k.place == PostPlace::after_add) std::copy_n(d + t * n, n, k.x.g + t * n);
        });
        dy = d;
    }
    linear_backward(exec, *k.linear, k.in.v, dy, rows, k.in.g, exec.tape->chains());
    for (const AdaptedRows& r : k.adapted) add_adapters_backward(exec, r, k.in.v, dy, k.in.g);
    exec.scratch.reset(mark);
}

}  // namespace

std::size_t linear_add_scratch(std::size_t rows, std::size_t n_in, std::size_t n_out) noexcept {
    return mat_bytes(rows, n_out) +
           std::max(Prepared::bytes_needed(Profile::q8, rows, n_in),
                    Prepared::bytes_needed(Profile::bf16, rows, n_in)) +
           128;
}

void linear_add(Exec& exec, const Linear& linear, const Mat& in, const Norm& post, PostPlace place, const Mat& x,
                const Look& look, const Adapters* adapters) {
    const std::size_t rows = in.rows, n = x.cols;
    Tape* const tape = exec.tape;
    const std::size_t mark = exec.scratch.mark();
    const Prepared prepared = take_prepared(exec, linear.w.profile(), in.v, rows, in.cols);
    if (prepared.profile != Profile::f32) {
        for_rows(exec, rows, in.cols * 2, [&](std::size_t t) { prepared.run_row(exec.kernels, t); });
    }
    const bool normed = post.kind != NormKind::none;
    const bool on_branch = normed && place == PostPlace::branch;
    const bool wanted = look.wanted();
    const bool adapts = adapters != nullptr && adapters->touches(linear);
    std::vector<AdaptedRows> adapted;
    float* stats = nullptr;
    const float* normed_from = nullptr;
    if (!on_branch && !wanted && !adapts) {
        const Product product{&linear.w, &prepared, x.v, x.cols, linear.bias_data(), true};
        multiply(exec.kernels, exec.threads, std::span(&product, 1));
    } else {
        float* const y = exec.scratch.take_array<float>(rows * n);
        const Product product{&linear.w, &prepared, y, n, linear.bias_data(), false};
        multiply(exec.kernels, exec.threads, std::span(&product, 1));
        if (adapts) {
            const LinearOut out{&linear, {y, nullptr, rows, n}};
            adapted = add_adapters(exec, *adapters, in.v, in.cols, {&out, 1});
        }
        if (on_branch && tape != nullptr) {
            normed_from = tape->keep_copy(y, rows * n);
            stats = tape->keep(rows * 2);
        }
        const auto norm_one = [&](std::size_t t) {
            exec.kernels.norm_row(post.kind, y + t * n, post.weight_data(), post.bias_data(), post.eps, n, y + t * n,
                                  stats == nullptr ? nullptr : stats + t * 2);
        };
        if (wanted) {
            if (on_branch) for_rows(exec, rows, n * 4, norm_one);
            look.probes->visit(look.at, y, n, n);
            for_rows(exec, rows, n, [&](std::size_t t) { exec.kernels.add(x.row(t), y + t * n, x.row(t), n); });
        } else {
            for_rows(exec, rows, n * 4, [&](std::size_t t) {
                if (on_branch) norm_one(t);
                exec.kernels.add(x.row(t), y + t * n, x.row(t), n);
            });
        }
    }
    if (normed && place == PostPlace::after_add) {
        if (tape != nullptr) {
            normed_from = tape->keep_copy(x.v, rows * n);
            stats = tape->keep(rows * 2);
        }
        for_rows(exec, rows, n * 4, [&](std::size_t t) {
            exec.kernels.norm_row(post.kind, x.row(t), post.weight_data(), post.bias_data(), post.eps, n, x.row(t),
                                  stats == nullptr ? nullptr : stats + t * 2);
        });
    }
    if (tape != nullptr) {
        tape->push([kept = Kept{&linear, post, place, in, x, normed_from, stats, std::move(adapted)}](Exec& e) {
            backward(e, kept);
        });
    }
    exec.scratch.reset(mark);
}

}  // namespace freehold
