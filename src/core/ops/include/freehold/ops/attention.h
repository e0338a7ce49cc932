// Rotation, the store of keys and values, and attention over the pages: the only writer and the only reader of the
// cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "freehold/ops/batch.h"
#include "freehold/ops/exec.h"
#include "freehold/ops/kv.h"
#include "freehold/ops/linear.h"
#include "freehold/ops/probe.h"

namespace freehold {

// Frequencies of one kind of rotation, in double; scalings are already in them.
struct RopeTable {
    std::vector<double> frequency;  // [n_dims / 2] radians per position
    int n_dims = 0;
    bool interleaved = false;
    double amplitude = 1.0;  // multiplies cos and sin
};
// cos and sin of every row: [rows][n_dims], first the cosines. From the tape or from scratch, once per forward.
[[nodiscard]] const float* rope_rows(Exec& exec, const RopeTable& table, std::span<const std::int32_t> positions);

// One layer's attention geometry and switches.
struct AttentionShape {
    int n_heads = 0, n_kv_heads = 0, head_dim = 0, v_dim = 0;
    float scale = 1.0F, softcap = 0.0F, clamp = 0.0F;
    bool causal = true;
    int window = 0;                   // 0: full
    const RopeTable* rope = nullptr;  // null: no rotation
    int rope_at = 0;                  // the first dimension of a head that is rotated
    bool v_in_k = false;              // latent attention: values are the keys' first v_dim numbers, and v is empty
    const Norm* q_norm = nullptr;     // null, or over a head, or over the whole width
    const Norm* k_norm = nullptr;
    bool norm_whole_width = false;
    const float* slopes = nullptr;  // ALiBi: [n_heads], times the distance to a key is added to its score; or null
    // Sinks (Xiao and others, arXiv:2309.17453; learned in gpt-oss): [n_heads] scores that have their share of every
    // row's probability and no value, or null; sinks_id: their gradients.
    const float* sinks = nullptr;
    ParamId sinks_id = kFrozen;
};

// Where one layer's keys and values lie: the number of its group, and which of the group's layers it is. The same for
// every KV type; what a page looks like is said by the layout of each sequence's own table.
struct KvPlace {
    std::size_t group = 0;
    int layer_in_group = 0;
    [[nodiscard]] const KvGroup& of(const PageTable& table) const noexcept { return table.layout->groups[group]; }
};

// Clamp, QK-norm, rotation in place on q and k; then k and v go to their pages in the KV type.
// cs: what rope_rows gave, or null when shape.rope is null. looks: q, k, v.
void rope_store(Exec& exec, const Batch& batch, const AttentionShape& shape, const KvPlace& place, const float* cs,
                const Mat& q, const Mat& k, const Mat& v, std::span<const Look, 3> looks);

// out[rows][n_heads * v_dim] = attention of q over the pages. `pattern` sees (and may replace) the probabilities.
void attend(Exec& exec, const Batch& batch, const AttentionShape& shape, const KvPlace& place, const Mat& q,
            const Mat& k, const Mat& v, const Mat& out, const Look& pattern);
[[nodiscard]] std::size_t attend_scratch(std::size_t rows, const AttentionShape& shape, int n_threads) noexcept;
[[nodiscard]] std::size_t attend_backward_scratch(const AttentionShape& shape, int n_threads) noexcept;

}  // namespace freehold
