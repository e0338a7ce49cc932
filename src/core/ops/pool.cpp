// pool: one vector for each sequence of a batch, from its rows behind the last layer; and vectors of length 1.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "freehold/ops/ends.h"

namespace freehold {

void pool(Exec& exec, const Batch& batch, const Norm& norm, Pooling pooling, const Mat& x, std::span<float> out) {
    const std::size_t d = x.cols;
    // Sequences, not rows, are spread: a mean is one chain over the rows of its sequence, in their order.
    for_rows(exec, batch.segments.size(), d * 16, [&](std::size_t s) {
        const Segment& segment = batch.segments[s];
        const std::size_t end = segment.first_row + segment.n_rows;
        const std::size_t from = pooling == Pooling::last ? end - 1 : segment.first_row;
        const std::size_t to = pooling == Pooling::cls ? from + 1 : end;
        float* const y = out.data() + s * d;
        std::fill_n(y, d, 0.0F);
        for (std::size_t t = from; t < to; ++t) {
            if (norm.kind != NormKind::none) {
                exec.kernels.norm_row(norm.kind, x.row(t), norm.weight_data(), norm.bias_data(), norm.eps, d, x.row(t),
                                      nullptr);
            }
            exec.kernels.add(y, x.row(t), y, d);
        }
        if (to - from > 1) exec.kernels.scale(1.0F / static_cast<float>(to - from), y, d);
    });
}

void to_unit_length(std::span<float> v) noexcept {
    constexpr std::size_t kLanes = 16;  // sums by rule 5
    float lanes[kLanes] = {};
    for (std::size_t i = 0; i < v.size(); ++i) lanes[i % kLanes] = std::fma(v[i], v[i], lanes[i % kLanes]);
    for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
        for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    }
    const float length = std::max(std::sqrt(lanes[0]), 1e-12F);
    for (float& x : v) x /= length;
}

}  // namespace freehold
