// Relative positions in buckets: which bucket a distance falls into, and the table spread over all distances that
// kernels read.
#include <cmath>

#include "freehold/ops/attention.h"

namespace freehold {

RelativeBias relative_buckets(int n_buckets, int max_distance, bool both_ways) {
    RelativeBias r;
    r.reach = max_distance;
    r.n_buckets = static_cast<std::size_t>(n_buckets);
    r.bucket.resize(r.stride());
    const int n = both_ways ? n_buckets / 2 : n_buckets, exact = n / 2;
    const double width = fh_log_double(static_cast<double>(max_distance) / exact);
    const auto zero = static_cast<int>(r.zero());
    for (int i = 0; i < static_cast<int>(r.stride()); ++i) {
        const int distance = std::clamp(i - zero, -max_distance, max_distance);
        const int back = both_ways ? std::abs(distance) : std::max(0, -distance);
        int bucket = back;
        if (back >= exact) {
            // In the arithmetic of the models' makers, single precision: at whole steps it decides.
            const float steps = fh_log(static_cast<float>(back) / static_cast<float>(exact)) /
                                static_cast<float>(width) * static_cast<float>(n - exact);
            bucket = std::min(exact + static_cast<int>(steps), n - 1);
        }
        r.bucket[static_cast<std::size_t>(i)] = bucket + (both_ways && distance > 0 ? n : 0);
    }
    return r;
}

void spread_buckets(RelativeBias& to, const float* table, int n_heads) {
    const auto heads = static_cast<std::size_t>(n_heads);
    to.by_distance.resize(heads * to.stride());
    for (std::size_t h = 0; h < heads; ++h) {
        for (std::size_t i = 0; i < to.stride(); ++i)
            to.by_distance[h * to.stride() + i] = table[static_cast<std::size_t>(to.bucket[i]) * heads + h];
    }
}

}  // namespace freehold
