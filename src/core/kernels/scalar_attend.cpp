// The scalar reference of attention over pages: one query row after the other, blocks of 64 keys, spans of 1024.
// The order is NUMERICS rule 6, told in full in docs/numerics.md.
#include <algorithm>
#include <cmath>
#include <limits>

#include "freehold/kernels/kv_page.h"
#include "scalar.h"
#include "scalar_lane.h"

namespace freehold::scalar {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

struct Softmax {
    float max = kMinusInfinity;
    float sum = 0;
    float* acc = nullptr;  // [v_dim]
};

// Keys [begin, end) lie in one block of 64: scores first, then the maximum once, then exponentials, sum and values.
void add_block(const AttendTask& task, int row, const float* q, int begin, int end, Softmax& s) {
    const auto D = static_cast<std::size_t>(task.head_dim), Dv = static_cast<std::size_t>(task.v_dim);
    float p[kKvBlock];
    float block_max = kMinusInfinity;
    for (int key = begin; key < end; ++key) {
        const std::byte* k = task.pages[key / kPageTokens] + task.k_offset;
        float score = 0;
        for (std::size_t d = 0; d < D; ++d)
            score = std::fma(q[d], kv_key(task.type, k, D, static_cast<std::size_t>(key % kPageTokens), d), score);
        if (task.slope != nullptr) score = std::fma(task.slope[row], static_cast<float>(key - task.at[row]), score);
        if (task.bias != nullptr)
            score += task.bias[row][std::clamp(key - task.at[row], -task.bias_reach, task.bias_reach)];
        if (task.softcap != 0) score = formula::softcap_of(F1{score}, F1{task.softcap}).v;
        p[key - begin] = score;
        block_max = std::max(block_max, score);
    }
    if (block_max > s.max) {
        const float correction = fh_exp(s.max - block_max);
        s.sum *= correction;
        for (std::size_t d = 0; d < Dv; ++d) s.acc[d] *= correction;
        s.max = block_max;
    }
    float lanes[16] = {};
    for (int key = begin; key < end; ++key) {
        p[key - begin] = fh_exp(p[key - begin] - s.max);
        lanes[key % 16] += p[key - begin];
    }
    for (int width = 8; width >= 1; width /= 2)
        for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
    s.sum += lanes[0];
    for (int key = begin; key < end; ++key) {
        const std::byte* page = task.pages[key / kPageTokens];
        const auto slot = static_cast<std::size_t>(key % kPageTokens);
        for (std::size_t d = 0; d < Dv; ++d) {
            const float value = task.v_in_k ? kv_key(task.type, page + task.k_offset, D, slot, d)
                                            : kv_value(task.type, page + task.v_offset, Dv, slot, d);
            s.acc[d] = std::fma(p[key - begin], value, s.acc[d]);
        }
    }
}

void merge(const Softmax& span, std::size_t Dv, Softmax& total) {
    const float max = std::max(total.max, span.max);
    const float old_factor = fh_exp(total.max - max), new_factor = fh_exp(span.max - max);
    total.sum = std::fma(span.sum, new_factor, total.sum * old_factor);
    for (std::size_t d = 0; d < Dv; ++d) total.acc[d] = std::fma(span.acc[d], new_factor, total.acc[d] * old_factor);
    total.max = max;
}

}  // namespace

void attend(const AttendTask& task) {
    const auto D = static_cast<std::size_t>(task.head_dim), Dv = static_cast<std::size_t>(task.v_dim);
    auto* q = reinterpret_cast<float*>(task.scratch);
    for (int row = 0; row < task.n_rows; ++row) {
        for (std::size_t d = 0; d < D; ++d) q[d] = task.q[row][d] * task.scale;
        const int first = std::max(task.first[row], 0), end = task.last[row] + 1;
        Softmax total{.acc = q + D}, span{.acc = q + D + Dv};
        bool begun = false;
        for (int from = first; from < end;) {
            const int span_end = std::min(end, (from / kKvSpan + 1) * kKvSpan);
            Softmax& here = begun ? span : total;
            here.max = kMinusInfinity;
            here.sum = 0;
            std::fill_n(here.acc, Dv, 0.0F);
            while (from < span_end) {
                const int block_end = std::min(span_end, (from / kKvBlock + 1) * kKvBlock);
                add_block(task, row, q, from, block_end, here);
                from = block_end;
            }
            if (begun) merge(span, Dv, total);
            begun = true;
        }
        if (task.sum != nullptr) {
            for (std::size_t d = 0; d < Dv; ++d) task.out[row][d] = begun ? total.acc[d] : 0.0F;
            task.max[row] = begun ? total.max : kMinusInfinity;
            task.sum[row] = begun ? total.sum : 0.0F;
            continue;
        }
        float factor = 1.0F;
        if (task.sink != nullptr && begun) {
            const WithSink all = with_sink(total.max, total.sum, task.sink[row]);
            total.max = all.max;
            total.sum = all.sum;
            factor = all.factor;
        }
        for (std::size_t d = 0; d < Dv; ++d) task.out[row][d] = begun ? total.acc[d] * factor / total.sum : 0.0F;
        if (task.logsumexp != nullptr) task.logsumexp[row] = begun ? total.max + fh_log(total.sum) : kMinusInfinity;
    }
}

}  // namespace freehold::scalar
