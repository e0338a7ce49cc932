// What this machine can do at most, measured: arithmetic of the instruction set in force, and reading memory.
// `freehold doctor` shows it, `freehold bench` and the workbench quote their figures against it.
#pragma once

#include "freehold/base/threads.h"

namespace freehold {

struct Peaks {
    double f32_gflops = 0;   // fused multiply-adds, two operations each
    double int8_gops = 0;    // 8-bit products and their sums as the q8 kernels form them, two operations a product
    double bf16_gflops = 0;  // BF16 pairs, two operations a product
    double read_gbytes_per_s = 0;  // 10^9 bytes, streamed from a buffer that no cache holds
};

// On all threads of the pool at once; under 0.3 s for each figure. Disturbance by other programs makes figures smaller.
[[nodiscard]] Peaks measure_peaks(ThreadPool& threads);

}  // namespace freehold
