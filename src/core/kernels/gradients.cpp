// The two products of the backward pass, on F32 matrices as they lie (NUMERICS rule 8).
// Both are the F32 panel kernel with other strides, so their chains are the same in every table.
#include <algorithm>

#include "freehold/kernels/weight.h"

namespace freehold {
namespace {

constexpr std::size_t kTokenRows = 96;    // rows of dy that one task takes
constexpr std::size_t kChainBlock = 256;  // links of a chain between two visits to memory

}  // namespace

void multiply_transposed(const Kernels& k, ThreadPool& threads, const float* dy, std::size_t T, std::size_t N,
                         const float* w, std::size_t K, float* dx, bool accumulate) {
    const std::size_t panels = (K + kPanelRows - 1) / kPanelRows, blocks = (T + kTokenRows - 1) / kTokenRows;
    threads.run(panels * blocks, [&](std::size_t task, int) {
        const std::size_t t0 = task % blocks * kTokenRows, k0 = task / blocks * kPanelRows;
        const std::size_t rows = std::min(kTokenRows, T - t0);
        const int n_valid = static_cast<int>(std::min<std::size_t>(kPanelRows, K - k0));
        for (std::size_t n = 0; n < N; n += kChainBlock)
            k.panel_f32(dy + t0 * N + n, N, 1, rows, w + n * K + k0, K, std::min(kChainBlock, N - n), dx + t0 * K + k0,
                        K, n_valid, accumulate || n != 0);
    });
}

void outer_product(const Kernels& k, ThreadPool& threads, const float* dy, std::size_t T, std::size_t N, const float* x,
                   std::size_t K, float* dw) {
    const std::size_t panels = (K + kPanelRows - 1) / kPanelRows, blocks = (N + kTokenRows - 1) / kTokenRows;
    threads.run(panels * blocks, [&](std::size_t task, int) {
        const std::size_t n0 = task % blocks * kTokenRows, k0 = task / blocks * kPanelRows;
        const std::size_t rows = std::min(kTokenRows, N - n0);
        const int n_valid = static_cast<int>(std::min<std::size_t>(kPanelRows, K - k0));
        for (std::size_t t = 0; t < T; t += kChainBlock)
            k.panel_f32(dy + t * N + n0, 1, N, rows, x + t * K + k0, K, std::min(kChainBlock, T - t), dw + n0 * K + k0,
                        K, n_valid, t != 0);
    });
}

}  // namespace freehold
