// Mixtures of experts: a router chooses some of many small MLPs for each row, and only those are computed. Rows are
// sorted by expert, so that an expert's weights are read once for all rows that chose it (Shazeer et al. 2017; Fedus et
// al. 2021).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "freehold/ops/exec.h"
#include "freehold/ops/linear.h"

namespace freehold {

enum class RouterScore : std::uint8_t { softmax, sigmoid };
// What a group of experts is worth when only some groups may be chosen from.
enum class GroupScore : std::uint8_t {
    best,      // its best expert (DeepSeek V2)
    best_two,  // the sum of its best two (DeepSeek V3)
};

// How a row's experts are chosen from the router's logits, and what weight each gets.
struct Routing {
    int n_experts = 0;  // 0: the layer has none
    int n_used = 0;     // chosen for each row
    RouterScore score = RouterScore::softmax;
    // The chosen weights are divided by their sum (+ epsilon). With softmax that is the softmax over the chosen logits.
    bool renormalize = false;
    float epsilon = 0;
    float scale = 1.0F;  // multiplies the weights
    int n_groups = 1;    // experts in order, n_experts / n_groups each; only the n_groups_kept best may be chosen from
    int n_groups_kept = 1;
    GroupScore group_score = GroupScore::best;
};

// What the router said of a batch. All memory is scratch, or the tape's.
struct Chosen {
    const std::int32_t* expert = nullptr;  // [rows][n_used], the best first; ties go to the lower number
    Mat weight;                            // [rows][n_used]
    // Rows sorted by expert, and by row within one: expert e has packed rows [first[e], first[e + 1]).
    const std::uint32_t* first = nullptr;   // [n_experts + 1]
    const std::uint32_t* source = nullptr;  // [rows * n_used] the row that a packed row comes from
    const std::uint32_t* packed = nullptr;  // [rows][n_used] the packed row of each choice
    std::size_t n_experts = 0, n_used = 0;
    [[nodiscard]] std::size_t n_packed() const noexcept { return weight.rows * n_used; }
};

// logits [rows][n_experts]. bias [n_experts] or null: added to the scores for choosing alone, never to the weights
// (DeepSeek V3). A row whose logits are not numbers chooses the first experts with weights that are none either.
[[nodiscard]] Chosen route(Exec& exec, const Routing& routing, const Mat& logits, const float* bias);
[[nodiscard]] std::size_t route_scratch(std::size_t rows, const Routing& routing) noexcept;

// One product of a grouped_linear: linears[e] for expert e, all of one shape; y must be [packed rows][n_out].
struct GroupedOut {
    std::span<const Linear> linears;
    Mat y;
};
// y[p] = linears[e](x[p]) for the packed rows p of each expert e: one barrier for all experts and outs. x: packed rows
// already (`gathered`), or the rows of the batch, which are then gathered on the way.
void grouped_linear(Exec& exec, const Chosen& chosen, const Mat& x, bool gathered, std::span<const GroupedOut> outs);
[[nodiscard]] std::size_t grouped_linear_scratch(std::size_t rows, std::size_t cols, const Routing& routing) noexcept;

// x[t] += sum of weight[t][k] * y[packed row of (t, k)], k ascending, and then gate[t] * shared[t] where there is a
// shared expert (gate null: 1). `look` sees what is added.
struct SharedOut {
    Mat y;     // [rows][d]; v null: no shared expert
    Mat gate;  // [rows][1]; v null: 1
};
void combine(Exec& exec, const Chosen& chosen, const Mat& y, const SharedOut& shared, const Mat& x, const Look& look);
[[nodiscard]] std::size_t combine_scratch(std::size_t rows, std::size_t d) noexcept;

// out = norm(x), for rows that go to more than three linears.
void norm_rows(Exec& exec, const Norm& norm, const Mat& x, const Mat& out);
// v = 1 / (1 + exp(-v)) for every number of m.
void sigmoid(Exec& exec, const Mat& m);

}  // namespace freehold
