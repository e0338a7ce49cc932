// Gradients of the norms: plain loops in one fixed order, the same for every instruction set.
#include <algorithm>

#include "freehold/ops/linear.h"
#include "freehold/ops/tape.h"

namespace freehold {

// With r = stats[1] and xh = (x - mean) * r (mean 0 for rms), g = dy * w:
//   rms:   dx += r * (g - xh * mean(g * xh))
//   layer: dx += r * (g - mean(g) - xh * mean(g * xh))
void norm_row_backward(NormKind kind, const float* x, const float* w, const float* stats, std::size_t n,
                       const float* dy, float* dx) {
    const float mean = kind == NormKind::layer ? stats[0] : 0.0F;
    const float r = stats[1];
    double sum_g = 0, sum_gx = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double g = static_cast<double>(dy[i]) * (w == nullptr ? 1.0 : static_cast<double>(w[i]));
        sum_g += g;
        sum_gx += g * static_cast<double>((x[i] - mean) * r);
    }
    const float mean_g = kind == NormKind::layer ? static_cast<float>(sum_g / static_cast<double>(n)) : 0.0F;
    const float mean_gx = static_cast<float>(sum_gx / static_cast<double>(n));
    for (std::size_t i = 0; i < n; ++i) {
        const float g = dy[i] * (w == nullptr ? 1.0F : w[i]);
        dx[i] += r * (g - mean_g - (x[i] - mean) * r * mean_gx);
    }
}

// A row holds `groups` norms of n numbers each (QK-norm: one a head), which share the weight; stats [rows][groups][2].
void norm_param_backward(Exec& exec, const Norm& norm, const float* x, const float* stats, const float* dy,
                         std::size_t n, std::size_t groups) {
    Gradients* const grads = exec.tape->gradients();
    if (grads == nullptr || (norm.w_id == kFrozen && norm.b_id == kFrozen)) return;
    for (const Chain& c : exec.tape->chains()) {
        float* const dw = norm.w_id == kFrozen ? nullptr : grads->leaf(norm.w_id);
        float* const db = norm.b_id == kFrozen ? nullptr : grads->leaf(norm.b_id);
        if (dw != nullptr) std::fill_n(dw, n, 0.0F);
        if (db != nullptr) std::fill_n(db, n, 0.0F);
        for (std::size_t g = c.begin * groups; g < c.end * groups; ++g) {
            const float mean = norm.kind == NormKind::layer ? stats[g * 2] : 0.0F;
            const float r = stats[g * 2 + 1];
            const float* const xr = x + g * n;
            const float* const dr = dy + g * n;
            if (dw != nullptr) {
                for (std::size_t i = 0; i < n; ++i) dw[i] += dr[i] * ((xr[i] - mean) * r);
            }
            if (db != nullptr) {
                for (std::size_t i = 0; i < n; ++i) db[i] += dr[i];
            }
        }
        if (dw != nullptr) grads->push(exec, norm.w_id);
        if (db != nullptr) grads->push(exec, norm.b_id);
    }
}

}  // namespace freehold
