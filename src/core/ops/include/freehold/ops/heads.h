// Products of each head by itself: latent attention (DeepSeek-AI 2024, arXiv:2405.04434) in the form that attends over
// the latents as they lie in the cache, so that queries and results go through a small matrix of their head.
#pragma once

#include <cstddef>
#include <span>

#include "freehold/ops/exec.h"
#include "freehold/ops/linear.h"

namespace freehold {

// Numbers of every head in rows that hold all heads: those of head h begin at row + h * stride + offset.
struct HeadRows {
    Mat m;
    std::size_t stride = 0, offset = 0;
    [[nodiscard]] float* at(std::size_t t, std::size_t head) const noexcept {
        return m.row(t) + head * stride + offset;
    }
};

// y of head h = linears[h](x of head h) for every row: one barrier for all heads. The linears have one shape.
void head_linear(Exec& exec, std::span<const Linear> linears, const HeadRows& x, const HeadRows& y);
// Bytes of scratch, way back included.
[[nodiscard]] std::size_t head_linear_scratch(std::size_t rows, std::size_t n_heads, std::size_t n_in,
                                              std::size_t n_out) noexcept;

// to = from for n numbers of each head.
void copy_heads(Exec& exec, std::size_t n_heads, std::size_t n, const HeadRows& from, const HeadRows& to);

}  // namespace freehold
