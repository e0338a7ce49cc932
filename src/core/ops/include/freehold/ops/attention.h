// Rotation, the store of keys and values, and attention over the pages: the only writer and the only reader of the
// cache.
#pragma once

#include <algorithm>
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

// A number for each head and distance to a key, added to the score (T5). Made from a table of fewer numbers, its
// buckets; distances beyond the reach count as that one.
struct RelativeBias {
    int reach = 0;
    std::size_t n_buckets = 0;
    std::vector<std::int32_t> bucket;  // [stride] of each distance
    std::vector<float> by_distance;    // [n_heads][stride]
    // As many distances on each side as kernels may read.
    [[nodiscard]] std::size_t zero() const noexcept { return static_cast<std::size_t>(reach + kKvBlock); }
    [[nodiscard]] std::size_t stride() const noexcept { return 2 * zero(); }
    [[nodiscard]] const float* of(std::size_t head) const noexcept {
        return by_distance.data() + head * stride() + zero();
    }
    [[nodiscard]] std::int32_t held(std::int32_t distance) const noexcept {
        return std::clamp(distance, -reach, reach);
    }
    [[nodiscard]] std::size_t bucket_of(std::int32_t distance) const noexcept {
        return static_cast<std::size_t>(bucket[static_cast<std::size_t>(held(distance) + reach + kKvBlock)]);
    }
};
// Buckets of distances (Raffel and others, arXiv:1910.10683): one each up to half of them, then ever wider ones up to
// max_distance; both_ways: half of them for keys behind the query. n_heads 0: no numbers yet.
[[nodiscard]] RelativeBias relative_buckets(int n_buckets, int max_distance, bool both_ways);
// The numbers by distance from the table [n_buckets][n_heads].
void spread_buckets(RelativeBias& to, const float* table, int n_heads);

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
    const RelativeBias* relative = nullptr;  // or null
    ParamId relative_id = kFrozen;
    bool cross = false;  // keys are those of SeqRef::cross, all of them (the batch's pages are set to it)
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
