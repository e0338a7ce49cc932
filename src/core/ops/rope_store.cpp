// rope_store: clamp, QK-norm, rotation, and the store of keys and values in their pages; the only writer of the cache.
// Forward and backward.
#include <algorithm>
#include <cstring>

#include "freehold/kernels/kv_page.h"
#include "freehold/ops/attention.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

// One row of queries or keys: clamp, norm per head or over the width, rotation. stats [norms of the row][2] or null.
void shape_row(const Kernels& k, const AttentionShape& s, const Norm* norm, const float* cs, int heads, int dim,
               bool rotate, float* row, float* stats) {
    const auto width = static_cast<std::size_t>(heads) * static_cast<std::size_t>(dim);
    if (s.clamp > 0) {
        for (std::size_t i = 0; i < width; ++i) row[i] = std::clamp(row[i], -s.clamp, s.clamp);
    }
    if (norm != nullptr) {
        const std::size_t n = s.norm_whole_width ? width : static_cast<std::size_t>(dim);
        for (std::size_t i = 0; i < width / n; ++i) {
            k.norm_row(norm->kind, row + i * n, norm->weight_data(), norm->bias_data(), norm->eps, n, row + i * n,
                       stats == nullptr ? nullptr : stats + i * 2);
        }
    }
    if (rotate && s.rope != nullptr) {
        for (int h = 0; h < heads; ++h)
            k.rope(row + static_cast<std::size_t>(h) * static_cast<std::size_t>(dim) + s.rope_at, cs, s.rope->n_dims,
                   s.rope->interleaved);
    }
}

// One key and one value per KV head into their slot of the page.
void store_row(const Kernels& k, const AttentionShape& s, const KvGroup& group, int layer, std::byte* page,
               std::size_t slot, const float* key, const float* value) {
    const auto dim = static_cast<std::size_t>(s.head_dim), v_dim = static_cast<std::size_t>(s.v_dim);
    for (int h = 0; h < s.n_kv_heads; ++h) {
        const auto hs = static_cast<std::size_t>(h);
        kv_store_key(k, group.type, key + hs * dim, dim, slot, page + group.k_offset(layer, h));
        if (!s.v_in_k) kv_store_value(k, group.type, value + hs * v_dim, v_dim, slot, page + group.v_offset(layer, h));
    }
}

struct Kept {
    AttentionShape shape;
    const float* cs = nullptr;
    Mat q, k, v;
    const float *q_raw = nullptr, *k_raw = nullptr, *v_raw = nullptr;  // before clamp and norm, if there is either
    const float *q_in = nullptr, *k_in = nullptr;                      // what the norms saw: behind the clamp
    float *q_stats = nullptr, *k_stats = nullptr;
};

// How many norms a row of m holds, and over how many numbers each.
struct NormGroups {
    std::size_t count, n;
};
NormGroups groups_of(const AttentionShape& s, const Mat& m) {
    const std::size_t n = s.norm_whole_width ? m.cols : static_cast<std::size_t>(s.head_dim);
    return {m.cols / n, n};
}

// g: gradient behind norm and clamp, becomes the gradient before them (in place). raw: the row before both; in: what
// the norm saw. dx: scratch of the row's width.
void unshape_row(const AttentionShape& s, const Norm* norm, NormGroups groups, const float* raw, const float* in,
                 const float* stats, float* g, float* dx) {
    const std::size_t width = groups.count * groups.n;
    if (norm != nullptr) {
        std::fill_n(dx, width, 0.0F);
        for (std::size_t i = 0; i < groups.count; ++i) {
            const std::size_t at = i * groups.n;
            norm_row_backward(norm->kind, in + at, norm->weight_data(), stats + i * 2, groups.n, g + at, dx + at);
        }
        std::memcpy(g, dx, width * sizeof(float));
    }
    if (s.clamp > 0) {
        for (std::size_t i = 0; i < width; ++i) {
            if (raw[i] > s.clamp || raw[i] < -s.clamp) g[i] = 0.0F;
        }
    }
}

// The transpose of a rotation is the rotation by the opposite angle. cs: scratch of n_dims numbers.
void rotate_back(Exec& exec, const AttentionShape& s, const float* from, float* cs, float* row, int heads) {
    const auto n = static_cast<std::size_t>(s.rope->n_dims);
    for (std::size_t i = 0; i < n; ++i) cs[i] = i < n / 2 ? from[i] : -from[i];
    for (int h = 0; h < heads; ++h) {
        exec.kernels.rope(row + static_cast<std::size_t>(h) * static_cast<std::size_t>(s.head_dim) + s.rope_at, cs,
                          s.rope->n_dims, s.rope->interleaved);
    }
}

void backward(Exec& exec, const Kept& kept) {
    const AttentionShape& s = kept.shape;
    const std::size_t rows = kept.q.rows;
    const std::size_t mark = exec.scratch.mark();
    const std::size_t rot = s.rope == nullptr ? 0 : static_cast<std::size_t>(s.rope->n_dims);
    const std::size_t per_row = std::max({rot, kept.q.cols, kept.k.cols, kept.v.cols});
    float* const scratch = exec.scratch.take_array<float>(rows * per_row);
    if (s.rope != nullptr) {
        for_rows(exec, rows, kept.q.cols * 2, [&](std::size_t t) {
            rotate_back(exec, s, kept.cs + t * rot, scratch + t * per_row, kept.q.g + t * kept.q.cols, s.n_heads);
            rotate_back(exec, s, kept.cs + t * rot, scratch + t * per_row, kept.k.g + t * kept.k.cols, s.n_kv_heads);
        });
    }
    const NormGroups q_groups = groups_of(s, kept.q), k_groups = groups_of(s, kept.k);
    if (s.q_norm != nullptr)
        norm_param_backward(exec, *s.q_norm, kept.q_in, kept.q_stats, kept.q.g, q_groups.n, q_groups.count);
    if (s.k_norm != nullptr)
        norm_param_backward(exec, *s.k_norm, kept.k_in, kept.k_stats, kept.k.g, k_groups.n, k_groups.count);
    const auto unshape = [&](std::size_t t, const Norm* norm, const Mat& m, NormGroups groups, const float* raw,
                             const float* in, const float* stats) {
        if (raw == nullptr) return;
        unshape_row(s, norm, groups, raw + t * m.cols, in == nullptr ? nullptr : in + t * m.cols,
                    stats == nullptr ? nullptr : stats + t * groups.count * 2, m.g + t * m.cols, scratch + t * per_row);
    };
    for_rows(exec, rows, kept.q.cols * 8, [&](std::size_t t) {
        unshape(t, s.q_norm, kept.q, q_groups, kept.q_raw, kept.q_in, kept.q_stats);
        unshape(t, s.k_norm, kept.k, k_groups, kept.k_raw, kept.k_in, kept.k_stats);
        unshape(t, nullptr, kept.v, {1, kept.v.cols}, kept.v_raw, nullptr, nullptr);
    });
    exec.scratch.reset(mark);
}

}  // namespace

const float* rope_rows(Exec& exec, const RopeTable& table, std::span<const std::int32_t> positions) {
    const auto n = static_cast<std::size_t>(table.n_dims);
    const std::size_t rows = positions.size();
    float* const cs = exec.tape != nullptr ? exec.tape->keep(rows * n) : exec.scratch.take_array<float>(rows * n);
    for_rows(exec, rows, n * 16, [&](std::size_t t) {
        float* const row = cs + t * n;
        for (std::size_t i = 0; i < n / 2; ++i) {
            double s = 0, c = 1;
            fh_sincos(static_cast<double>(positions[t]) * table.frequency[i], s, c);
            row[i] = static_cast<float>(c * table.amplitude);
            row[n / 2 + i] = static_cast<float>(s * table.amplitude);
        }
    });
    return cs;
}

void rope_store(Exec& exec, const Batch& batch, const AttentionShape& shape, const KvPlace& place, const float* cs,
                const Mat& q, const Mat& k, const Mat& v, std::span<const Look, 3> looks) {
    const std::size_t rows = q.rows;
    Tape* const tape = exec.tape;
    const std::size_t rot = shape.rope == nullptr ? 0 : static_cast<std::size_t>(shape.rope->n_dims);
    Kept kept{shape, cs, q, k, v};
    if (tape != nullptr) {
        const auto stats = [&](const Norm* norm, const Mat& m) {
            return norm == nullptr ? nullptr : tape->keep(rows * 2 * groups_of(shape, m).count);
        };
        if (shape.clamp > 0 || shape.q_norm != nullptr) kept.q_raw = tape->keep_copy(q.v, q.size());
        if (shape.clamp > 0 || shape.k_norm != nullptr) kept.k_raw = tape->keep_copy(k.v, k.size());
        if (shape.clamp > 0 && !shape.v_in_k) kept.v_raw = tape->keep_copy(v.v, v.size());
        const auto norm_saw = [&](const Norm* norm, const float* raw, std::size_t n) {
            if (norm == nullptr || shape.clamp <= 0) return raw;
            float* const in = tape->keep(n);
            for (std::size_t i = 0; i < n; ++i) in[i] = std::clamp(raw[i], -shape.clamp, shape.clamp);
            return static_cast<const float*>(in);
        };
        kept.q_in = norm_saw(shape.q_norm, kept.q_raw, q.size());
        kept.k_in = norm_saw(shape.k_norm, kept.k_raw, k.size());
        kept.q_stats = stats(shape.q_norm, q);
        kept.k_stats = stats(shape.k_norm, k);
    }
    const auto shape_one = [&](std::size_t t) {
        const float* const angles = cs + t * rot;
        const auto stats_at = [&](float* stats, const Mat& m) {
            return stats == nullptr ? nullptr : stats + t * 2 * groups_of(shape, m).count;
        };
        shape_row(exec.kernels, shape, shape.q_norm, angles, shape.n_heads, shape.head_dim, true, q.row(t),
                  stats_at(kept.q_stats, q));
        shape_row(exec.kernels, shape, shape.k_norm, angles, shape.n_kv_heads, shape.head_dim, true, k.row(t),
                  stats_at(kept.k_stats, k));
        if (!shape.v_in_k)
            shape_row(exec.kernels, shape, nullptr, nullptr, shape.n_kv_heads, shape.v_dim, false, v.row(t), nullptr);
    };
    const std::size_t work = (q.cols + k.cols * 2 + v.cols) * 2;
    const bool watched = looks[0].wanted() || looks[1].wanted() || looks[2].wanted();
    if (watched) {
        for_rows(exec, rows, work, shape_one);
        const Mat* const mats[3] = {&q, &k, &v};
        for (std::size_t i = 0; i < 3; ++i) {
            if (mats[i]->v != nullptr && looks[i].wanted())
                looks[i].probes->visit(looks[i].at, mats[i]->v, mats[i]->cols, mats[i]->cols);
        }
    }
    // Rows of different sequences never share a page, rows of one sequence never a slot.
    for (const Segment& segment : batch.segments) {
        std::byte* const* const pages = segment.seq.pages->pages[place.group].data();
        const KvGroup& group = place.of(*segment.seq.pages);
        for_rows(exec, segment.n_rows, work, [&](std::size_t i) {
            const std::size_t t = segment.first_row + i;
            if (!watched) shape_one(t);
            const auto position = static_cast<std::size_t>(batch.positions[t]);
            store_row(exec.kernels, shape, group, place.layer_in_group, pages[position / kPageTokens],
                      position % kPageTokens, k.row(t), v.row(t));
        });
    }
    if (tape != nullptr) tape->push([kept](Exec& e) { backward(e, kept); });
}

}  // namespace freehold
