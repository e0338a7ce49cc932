// route: scores from the router's logits, the experts of each row, and the rows of each expert. Forward and backward.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "freehold/ops/experts.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// One row: scores by softmax or sigmoid, in order, the same for every instruction set.
void score_row(RouterScore kind, const float* logits, std::size_t n, float* scores) {
    if (kind == RouterScore::sigmoid) {
        for (std::size_t i = 0; i < n; ++i) scores[i] = 1.0F / (1.0F + fh_exp(-logits[i]));
        return;
    }
    const float max = *std::max_element(logits, logits + n);
    float sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        scores[i] = fh_exp(logits[i] - max);
        sum += scores[i];
    }
    for (std::size_t i = 0; i < n; ++i) scores[i] /= sum;
}

// The place of the best number that is greater than `never`, the first of equals; n when there is none.
std::size_t best_of(const float* values, std::size_t n) {
    std::size_t best = n;
    for (std::size_t i = 0; i < n; ++i) {
        if (values[i] > kNever && (best == n || values[i] > values[best])) best = i;
    }
    return best;
}

float group_value(GroupScore kind, const float* values, std::size_t n) {
    float best = kNever, second = kNever;
    for (std::size_t i = 0; i < n; ++i) {
        if (values[i] > best) {
            second = best;
            best = values[i];
        } else if (values[i] > second) {
            second = values[i];
        }
    }
    return kind == GroupScore::best || n < 2 ? best : best + second;
}

// Takes the experts of the lesser groups out of the running. values: [n_experts]; groups: scratch [n_groups].
void keep_groups(const Routing& r, float* values, float* groups) {
    const auto n = static_cast<std::size_t>(r.n_groups);
    const std::size_t size = static_cast<std::size_t>(r.n_experts) / n;
    for (std::size_t g = 0; g < n; ++g) groups[g] = group_value(r.group_score, values + g * size, size);
    std::size_t kept = 0;
    for (; kept < static_cast<std::size_t>(r.n_groups_kept); ++kept) {
        const std::size_t g = best_of(groups, n);
        if (g == n) break;
        groups[g] = std::numeric_limits<float>::quiet_NaN();  // kept: no longer compared
    }
    for (std::size_t g = 0; g < n; ++g) {
        if (!std::isnan(groups[g])) std::fill_n(values + g * size, size, kNever);
    }
}

// Which experts, the best first, from scores (+ bias). values: scratch [n_experts].
void choose_row(const Routing& r, const float* scores, const float* bias, float* values, float* groups,
                std::int32_t* expert) {
    const auto n = static_cast<std::size_t>(r.n_experts), used = static_cast<std::size_t>(r.n_used);
    for (std::size_t i = 0; i < n; ++i) values[i] = bias == nullptr ? scores[i] : scores[i] + bias[i];
    if (r.n_groups > 1) keep_groups(r, values, groups);
    for (std::size_t k = 0; k < used; ++k) {
        std::size_t best = best_of(values, n);
        if (best == n) {  // not numbers: the first that is not chosen yet, so that every row has its experts
            for (best = 0; std::find(expert, expert + k, static_cast<std::int32_t>(best)) != expert + k;) ++best;
        }
        expert[k] = static_cast<std::int32_t>(best);
        values[best] = kNever;
    }
}

float divisor(const Routing& r, const float* scores, const std::int32_t* expert) {
    if (!r.renormalize) return 1.0F;
    float sum = 0;
    for (int k = 0; k < r.n_used; ++k) sum += scores[expert[k]];
    return sum + r.epsilon;
}

// Gradients of the logits of one row from those of its weights.
void backward_row(const Routing& r, const float* scores, const std::int32_t* expert, const float* dw, float* dlogits) {
    const float sum = divisor(r, scores, expert);
    float inner = 0;  // what dividing by the sum takes from each
    if (r.renormalize) {
        for (int k = 0; k < r.n_used; ++k) inner += dw[k] * scores[expert[k]];
        inner /= sum * sum;
    }
    const auto slope = [&](int k) { return r.scale * (dw[k] / sum - inner); };
    if (r.score == RouterScore::sigmoid) {
        for (int k = 0; k < r.n_used; ++k) {
            const float s = scores[expert[k]];
            dlogits[expert[k]] += slope(k) * s * (1.0F - s);
        }
        return;
    }
    float mean = 0;
    for (int k = 0; k < r.n_used; ++k) mean += slope(k) * scores[expert[k]];
    for (int i = 0; i < r.n_experts; ++i) dlogits[i] -= scores[i] * mean;
    for (int k = 0; k < r.n_used; ++k) dlogits[expert[k]] += scores[expert[k]] * slope(k);
}

struct Lists {
    std::vector<std::int32_t> expert;
    std::vector<std::uint32_t> first, source, packed;
};

// Rows by expert: counted, then laid out in the order of the rows.
void sort_rows(std::size_t rows, std::size_t n_experts, std::size_t used, const std::int32_t* expert,
               std::uint32_t* first, std::uint32_t* source, std::uint32_t* packed) {
    std::fill_n(first, n_experts + 1, 0U);
    for (std::size_t i = 0; i < rows * used; ++i) ++first[static_cast<std::size_t>(expert[i]) + 1];
    for (std::size_t e = 0; e < n_experts; ++e) first[e + 1] += first[e];
    for (std::size_t i = 0; i < rows * used; ++i) {
        const std::uint32_t at = first[expert[i]]++;
        source[at] = static_cast<std::uint32_t>(i / used);
        packed[i] = at;
    }
    for (std::size_t e = n_experts; e > 0; --e) first[e] = first[e - 1];
    first[0] = 0;
}

}  // namespace

std::size_t route_scratch(std::size_t rows, const Routing& r) noexcept {
    const auto n = static_cast<std::size_t>(r.n_experts), used = static_cast<std::size_t>(r.n_used);
    return mat_bytes(rows, used) + 3 * mat_bytes(rows, used) + mat_bytes(1, n + 1) + 2 * mat_bytes(rows, n) +
           mat_bytes(rows, static_cast<std::size_t>(r.n_groups)) + 8 * 64;
}

Chosen route(Exec& exec, const Routing& r, const Mat& logits, const float* bias) {
    const std::size_t rows = logits.rows, n = logits.cols, used = static_cast<std::size_t>(r.n_used);
    const auto n_groups = static_cast<std::size_t>(r.n_groups);
    Tape* const tape = exec.tape;
    Chosen out;
    out.n_experts = n;
    out.n_used = used;
    out.weight = take_mat(exec, rows, used);
    std::shared_ptr<Lists> lists;
    std::int32_t* expert = nullptr;
    std::uint32_t *first = nullptr, *source = nullptr, *packed = nullptr;
    if (tape != nullptr) {
        lists = std::make_shared<Lists>();
        lists->expert.resize(rows * used);
        lists->first.resize(n + 1);
        lists->source.resize(rows * used);
        lists->packed.resize(rows * used);
        expert = lists->expert.data();
        first = lists->first.data();
        source = lists->source.data();
        packed = lists->packed.data();
    } else {
        expert = exec.scratch.take_array<std::int32_t>(rows * used);
        first = exec.scratch.take_array<std::uint32_t>(n + 1);
        source = exec.scratch.take_array<std::uint32_t>(rows * used);
        packed = exec.scratch.take_array<std::uint32_t>(rows * used);
    }
    const std::size_t mark = exec.scratch.mark();
    float* const scores = tape != nullptr ? tape->keep(rows * n) : exec.scratch.take_array<float>(rows * n);
    auto* const values = exec.scratch.take_array<float>(rows * n);
    auto* const groups = exec.scratch.take_array<float>(rows * n_groups);
    for_rows(exec, rows, n * (8 + used), [&](std::size_t t) {
        float* const s = scores + t * n;
        std::int32_t* const e = expert + t * used;
        score_row(r.score, logits.row(t), n, s);
        choose_row(r, s, bias, values + t * n, groups + t * n_groups, e);
        const float sum = divisor(r, s, e);
        for (std::size_t k = 0; k < used; ++k) out.weight.row(t)[k] = r.scale * (s[e[k]] / sum);
    });
    sort_rows(rows, n, used, expert, first, source, packed);
    exec.scratch.reset(mark);
    out.expert = expert;
    out.first = first;
    out.source = source;
    out.packed = packed;
    if (tape != nullptr) {
        tape->push([r, logits, weight = out.weight, scores, lists, used, n](Exec& e) {
            for_rows(e, logits.rows, n * 4, [&](std::size_t t) {
                backward_row(r, scores + t * n, lists->expert.data() + t * used, weight.g + t * used, logits.g + t * n);
            });
        });
    }
    return out;
}

}  // namespace freehold
