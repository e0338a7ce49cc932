// What this machine reaches, measured once and kept beside the models, so that a plan does not wait for it each time.
#pragma once

#include <filesystem>

#include "freehold/base/threads.h"
#include "freehold/kernels/peaks.h"

namespace freehold::cli {

struct MeasuredPeaks {
    Peaks peaks;
    bool kept = false;  // from an earlier measurement on this processor with as many threads
};
// `home` is the store's; nothing is written where it does not exist. `anew` measures in any case.
[[nodiscard]] MeasuredPeaks measured_peaks(const std::filesystem::path& home, int n_threads, bool anew);

}  // namespace freehold::cli
