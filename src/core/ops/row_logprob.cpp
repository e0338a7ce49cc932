// row_logprob: head and log-probability of given tokens, in chunks of rows; the logits of a batch never exist together.
// Backward makes a chunk's logits again from the log-sums.
#include <algorithm>
#include <cstring>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/ops/ends.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

constexpr std::size_t kChunk = 32;  // rows whose logits exist at a time

struct Kept {
    Norm norm;
    const Linear* linear = nullptr;
    float scale = 1, softcap = 0;
    Mat x;
    std::vector<std::uint32_t> rows;  // the rows that count, ascending
    std::vector<Token> targets;       // of those rows
    std::vector<double> lse;          // log of the sum of exp(logit)
    const float* input = nullptr;     // [n][d] rows before the norm
    const float* normed = nullptr;    // [n][d]
    const float* stats = nullptr;     // [n][2]
    std::span<const float> upstream;  // [rows of the batch]
};

// Logits of n prepared rows, scaled and capped.
void chunk_logits(Exec& exec, const Linear& linear, const float* rows, std::size_t n, std::size_t d, float scale,
                  float softcap, float* logits) {
    const std::size_t mark = exec.scratch.mark(), vocab = linear.n_out();
    const Prepared prepared = take_prepared(exec, linear.w.profile(), rows, n, d);
    prepared.run(exec.kernels, exec.threads);
    const Product product{&linear.w, &prepared, logits, vocab, linear.bias_data(), false};
    multiply(exec.kernels, exec.threads, std::span(&product, 1));
    for_rows(exec, n, vocab, [&](std::size_t t) {
        if (scale != 1.0F) exec.kernels.scale(scale, logits + t * vocab, vocab);
        if (softcap != 0.0F) exec.kernels.softcap(softcap, logits + t * vocab, vocab);
    });
    exec.scratch.reset(mark);
}

// dw[v][c] (+)= sum_t dy[t][v] x[t][c]: the chain over t goes on from the chunk before.
void outer_product_on(Exec& exec, const float* dy, std::size_t m, std::size_t vocab, const float* x, std::size_t d,
                      float* dw, bool accumulate) {
    constexpr std::size_t kRows = 64;
    exec.threads.run((vocab + kRows - 1) / kRows, [&](std::size_t task, int) {
        const std::size_t v0 = task * kRows, n = std::min(kRows, vocab - v0);
        for (std::size_t c = 0; c < d; c += kPanelRows) {
            exec.kernels.panel_f32(dy + v0, 1, vocab, n, x + c, d, m, dw + v0 * d + c, d,
                                   static_cast<int>(std::min<std::size_t>(kPanelRows, d - c)), accumulate);
        }
    });
}

// d loss / d logits of one row in place of its logits: upstream * (onehot - softmax), through cap and scale.
void row_gradient(float* logits, std::size_t vocab, Token target, double lse, float upstream, float scale,
                  float softcap) {
    for (std::size_t i = 0; i < vocab; ++i) {
        const float p = fh_exp(static_cast<float>(static_cast<double>(logits[i]) - lse));
        float g = upstream * ((static_cast<std::size_t>(target) == i ? 1.0F : 0.0F) - p);
        if (softcap != 0.0F) {
            const float t = logits[i] / softcap;
            g *= 1.0F - t * t;
        }
        logits[i] = g * scale;
    }
}

void backward(Exec& exec, const Kept& k) {
    const std::size_t n = k.rows.size(), d = k.x.cols, vocab = k.linear->n_out();
    const std::size_t mark = exec.scratch.mark();
    Gradients* const grads = exec.tape->gradients();
    float* const logits = exec.scratch.take_array<float>(kChunk * vocab);
    float* const dh = exec.scratch.take_array<float>(n * d);
    std::fill_n(dh, n * d, 0.0F);
    std::size_t at = 0;
    for (const Chain& c : exec.tape->chains()) {
        std::size_t end = at;
        while (end < n && k.rows[end] < c.end) ++end;
        float* const dw = grads != nullptr && k.linear->w_id != kFrozen ? grads->leaf(k.linear->w_id) : nullptr;
        float* const db = grads != nullptr && k.linear->b_id != kFrozen ? grads->leaf(k.linear->b_id) : nullptr;
        if (dw != nullptr && end == at) std::fill_n(dw, vocab * d, 0.0F);
        if (db != nullptr) std::fill_n(db, vocab, 0.0F);
        for (std::size_t begin = at; begin < end; begin += kChunk) {
            const std::size_t m = std::min(kChunk, end - begin);
            const float* const rows = k.normed + begin * d;
            chunk_logits(exec, *k.linear, rows, m, d, k.scale, k.softcap, logits);
            for_rows(exec, m, vocab * 8, [&](std::size_t t) {
                row_gradient(logits + t * vocab, vocab, k.targets[begin + t], k.lse[begin + t],
                             k.upstream[k.rows[begin + t]], k.scale, k.softcap);
            });
            multiply_transposed(exec.kernels, exec.threads, logits, m, vocab,
                                reinterpret_cast<const float*>(k.linear->w.tensor().data()), d, dh + begin * d, true);
            if (dw != nullptr) outer_product_on(exec, logits, m, vocab, rows, d, dw, begin != at);
            if (db != nullptr) {
                for (std::size_t t = 0; t < m; ++t) exec.kernels.add(db, logits + t * vocab, db, vocab);
            }
        }
        if (dw != nullptr) grads->push(exec, k.linear->w_id);
        if (db != nullptr) grads->push(exec, k.linear->b_id);
        at = end;
    }
    if (k.norm.kind == NormKind::none) {
        for (std::size_t i = 0; i < n; ++i)
            exec.kernels.add(k.x.g + k.rows[i] * d, dh + i * d, k.x.g + k.rows[i] * d, d);
    } else {
        // The gradient of the norm's weight wants full rows in chain order: rows that do not count are zeros and add
        // nothing.
        float* const dy = exec.scratch.take_array<float>(k.x.rows * d);
        float* const x = exec.scratch.take_array<float>(k.x.rows * d);
        float* const stats = exec.scratch.take_array<float>(k.x.rows * 2);
        std::fill_n(dy, k.x.rows * d, 0.0F);
        std::fill_n(x, k.x.rows * d, 0.0F);
        std::fill_n(stats, k.x.rows * 2, 0.0F);
        for (std::size_t i = 0; i < n; ++i) {
            std::memcpy(dy + k.rows[i] * d, dh + i * d, d * sizeof(float));
            std::memcpy(x + k.rows[i] * d, k.input + i * d, d * sizeof(float));
            std::memcpy(stats + k.rows[i] * 2, k.stats + i * 2, 2 * sizeof(float));
        }
        norm_param_backward(exec, k.norm, x, stats, dy, d, 1);
        for_rows(exec, n, d * 4, [&](std::size_t i) {
            norm_row_backward(k.norm.kind, k.input + i * d, k.norm.weight_data(), k.stats + i * 2, d, dh + i * d,
                              k.x.g + k.rows[i] * d);
        });
    }
    exec.scratch.reset(mark);
}

}  // namespace

std::size_t row_logprob_scratch(std::size_t rows, std::size_t d, std::size_t vocab) noexcept {
    return mat_bytes(kChunk, vocab) + 4 * mat_bytes(rows, d) + mat_bytes(rows, 2) + 1024 +
           std::max(Prepared::bytes_needed(Profile::q8, kChunk, d), Prepared::bytes_needed(Profile::bf16, kChunk, d));
}

void row_logprob(Exec& exec, const Head& head, const Mat& x, std::span<const Token> targets, std::span<double> logprobs,
                 std::span<const float> upstream) {
    const std::size_t d = x.cols, vocab = head.linear->n_out();
    Tape* const tape = exec.tape;
    const std::size_t mark = exec.scratch.mark();
    Kept kept{*head.norm, head.linear, head.scale, head.softcap, x, {}, {}, {}, nullptr, nullptr, nullptr, upstream};
    for (std::size_t t = 0; t < targets.size(); ++t) {
        logprobs[t] = 0;
        if (targets[t] == kNoTarget) continue;
        if (targets[t] < 0 || static_cast<std::size_t>(targets[t]) >= vocab) {
            throw Error(ErrorKind::usage, "target token " + std::to_string(targets[t]) +
                                              " is outside the vocabulary of " + std::to_string(vocab));
        }
        kept.rows.push_back(static_cast<std::uint32_t>(t));
        kept.targets.push_back(targets[t]);
    }
    const std::size_t n = kept.rows.size();
    float* const input = tape != nullptr ? tape->keep(n * d) : exec.scratch.take_array<float>(n * d);
    float* const normed = tape != nullptr ? tape->keep(n * d) : input;
    float* const stats = tape != nullptr ? tape->keep(n * 2) : nullptr;
    for_rows(exec, n, d * 4, [&](std::size_t i) {
        std::memcpy(input + i * d, x.row(kept.rows[i]), d * sizeof(float));
        if (kept.norm.kind != NormKind::none) {
            exec.kernels.norm_row(kept.norm.kind, input + i * d, kept.norm.weight_data(), kept.norm.bias_data(),
                                  kept.norm.eps, d, normed + i * d, stats == nullptr ? nullptr : stats + i * 2);
        } else if (normed != input) {
            std::memcpy(normed + i * d, input + i * d, d * sizeof(float));
        }
    });
    kept.lse.resize(n);
    float* const logits = exec.scratch.take_array<float>(kChunk * vocab);
    for (std::size_t begin = 0; begin < n; begin += kChunk) {
        const std::size_t m = std::min(kChunk, n - begin);
        chunk_logits(exec, *head.linear, normed + begin * d, m, d, head.scale, head.softcap, logits);
        for_rows(exec, m, vocab * 4, [&](std::size_t t) {
            const float* const row = logits + t * vocab;
            const float top = exec.kernels.max_value(row, vocab);
            kept.lse[begin + t] =
                static_cast<double>(top) + fh_log_double(exec.kernels.exp_sum(row, top, vocab, nullptr));
            logprobs[kept.rows[begin + t]] = static_cast<double>(row[kept.targets[begin + t]]) - kept.lse[begin + t];
        });
    }
    if (tape != nullptr) {
        kept.input = input;
        kept.normed = normed;
        kept.stats = stats;
        tape->push([kept = std::move(kept)](Exec& e) { backward(e, kept); });
    }
    exec.scratch.reset(mark);
}

}  // namespace freehold
