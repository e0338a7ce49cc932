// What attend keeps in other files: the recomputed pattern, and the backward pass.
#pragma once

#include "freehold/ops/attention.h"

namespace freehold {

// Keys [first, last] that a row may see.
struct KeyRange {
    std::int32_t first, last;
};
[[nodiscard]] KeyRange visible_keys(const AttentionShape& shape, const Batch& batch, const Segment& segment,
                                    std::size_t row) noexcept;

// Recomputes the probabilities of the rows that a probe asks for; when the probe changed them, the row's output is made
// again from what it wrote. A probe that only reads leaves every bit of the output.
void show_pattern(const Batch& batch, const AttentionShape& shape, const KvPlace& place, const Mat& q, const Mat& out,
                  const Look& pattern);

void push_attend_backward(Exec& exec, const Batch& batch, const AttentionShape& shape, const KvPlace& place,
                          const Mat& q, const Mat& k, const Mat& v, const Mat& out, const float* lse);

}  // namespace freehold
