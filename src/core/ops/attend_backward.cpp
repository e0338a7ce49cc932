// Backward of attend: probabilities are made again from the log-sums, tile by tile, with the products of the kernels.
// Chains: gradients of queries over keys ascending; of keys and values over heads of the group, then queries ascending.
#include "attend_backward.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

constexpr std::size_t kTile = 32;  // query rows
constexpr std::size_t kKeys = kPageTokens;

struct Kept {
    std::vector<Segment> segments;
    std::vector<PageTable>
        pages;  // of each segment: its tables may move, the pages themselves live as long as the tape
    AttentionShape shape;
    KvPlace place;
    Mat q, k, v, out;
    const float* lse = nullptr;
    float* bias_g = nullptr;  // [segments][n_heads][n_buckets] gradients of a relative bias, or null
};

// Scratch of one worker. Lanes of a product are columns, so keys are wanted as rows and values as columns.
struct Work {
    float* qs;      // [kTile][d] queries, scaled
    float* k_rows;  // [kKeys][d]
    float* v_cols;  // [dv][kKeys]
    float *p, *ds;  // [kTile][kKeys]
    float* d_sum;   // [kTile]
};

std::size_t work_bytes(std::size_t d, std::size_t dv) {
    return mat_bytes(kTile, d) + mat_bytes(kKeys, d) + mat_bytes(dv, kKeys) + 2 * mat_bytes(kTile, kKeys) +
           mat_bytes(1, kTile);
}

Work take_work(Arena& a, std::size_t d, std::size_t dv) {
    return {a.take_array<float>(kTile * d),     a.take_array<float>(kKeys * d),     a.take_array<float>(dv * kKeys),
            a.take_array<float>(kTile * kKeys), a.take_array<float>(kTile * kKeys), a.take_array<float>(kTile)};
}

// y[t][c] += sum_k x[t * ldx + k * x_step] * rows[k][c], k ascending.
void add_product(const Kernels& kern, const float* x, std::size_t ldx, std::size_t x_step, std::size_t n,
                 const float* rows, std::size_t ld, std::size_t k, float* y, std::size_t ldy, std::size_t cols) {
    for (std::size_t c = 0; c < cols; c += kPanelRows) {
        kern.panel_f32(x, ldx, x_step, n, rows + c, ld, k, y + c, ldy,
                       static_cast<int>(std::min<std::size_t>(kPanelRows, cols - c)), true);
    }
}

// One KV head of one segment: all its queries, all its keys.
void backward_head(const Kernels& kern, const Kept& kept, const Batch& batch, std::size_t segment_index,
                   std::size_t kv_head, const Work& w) {
    const AttentionShape& s = kept.shape;
    const Segment& segment = kept.segments[segment_index];
    const auto d = static_cast<std::size_t>(s.head_dim), dv = static_cast<std::size_t>(s.v_dim);
    const auto group = static_cast<std::size_t>(s.n_heads / s.n_kv_heads),
               n_heads = static_cast<std::size_t>(s.n_heads);
    const std::size_t n_key_rows = s.cross ? segment.seq.n_cross : segment.n_rows;
    const std::size_t first_key_row = s.cross ? segment.seq.first_cross : segment.first_row;
    const auto& pages = kept.pages[segment_index].pages[kept.place.group];
    const KvGroup& kv = kept.place.of(kept.pages[segment_index]);
    const std::size_t k_at = kv.k_offset(kept.place.layer_in_group, static_cast<int>(kv_head));
    const std::size_t v_at = s.v_in_k ? k_at : kv.v_offset(kept.place.layer_in_group, static_cast<int>(kv_head));
    // Gradients of values that lie in the keys add up with those of the keys.
    const Mat& values = s.v_in_k ? kept.k : kept.v;
    const std::size_t value_at = kv_head * (s.v_in_k ? d : dv);
    for (std::size_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
        float* const bias_g =
            kept.bias_g == nullptr ? nullptr : kept.bias_g + (segment_index * n_heads + h) * s.relative->n_buckets;
        for (std::size_t at = 0; at < segment.n_rows; at += kTile) {
            const std::size_t n = std::min<std::size_t>(kTile, segment.n_rows - at);
            const std::size_t t0 = segment.first_row + at;
            const float* const d_out = kept.out.g + t0 * kept.out.cols + h * dv;
            for (std::size_t i = 0; i < n; ++i) {
                const float* const q = kept.q.row(t0 + i) + h * d;
                for (std::size_t c = 0; c < d; ++c) w.qs[i * d + c] = q[c] * s.scale;
                const float* const o = kept.out.row(t0 + i) + h * dv;
                float sum = 0;
                for (std::size_t c = 0; c < dv; ++c) sum += d_out[i * kept.out.cols + c] * o[c];
                w.d_sum[i] = sum;
            }
            const KeyRange low = visible_keys(s, batch, segment, t0),
                           high = visible_keys(s, batch, segment, t0 + n - 1);
            float* const dq = kept.q.g + t0 * kept.q.cols + h * d;
            for (std::size_t page = static_cast<std::size_t>(low.first) / kKeys;
                 page <= static_cast<std::size_t>(high.last) / kKeys; ++page) {
                const auto* const kp = reinterpret_cast<const float*>(pages[page] + k_at);
                const auto* const vp = reinterpret_cast<const float*>(pages[page] + v_at);
                const std::size_t n_keys = std::min(kKeys, n_key_rows - page * kKeys);
                for (std::size_t j = 0; j < kKeys; ++j) {
                    for (std::size_t c = 0; c < dv; ++c)
                        w.v_cols[c * kKeys + j] = j < n_keys ? (s.v_in_k ? vp[c * kKeys + j] : vp[j * dv + c]) : 0.0F;
                    for (std::size_t c = 0; c < d; ++c) w.k_rows[j * d + c] = j < n_keys ? kp[c * kKeys + j] : 0.0F;
                }
                kern.panel_f32(w.qs, d, 1, n, kp, kKeys, d, w.p, kKeys, kKeys, false);
                kern.panel_f32(d_out, kept.out.cols, 1, n, w.v_cols, kKeys, dv, w.ds, kKeys, kKeys, false);
                for (std::size_t i = 0; i < n; ++i) {
                    const KeyRange keys = visible_keys(s, batch, segment, t0 + i);
                    const float lse = kept.lse[(t0 + i) * n_heads + h];
                    for (std::size_t j = 0; j < kKeys; ++j) {
                        const auto key = static_cast<std::int32_t>(page * kKeys + j);
                        float p = 0, ds = 0;
                        if (key >= keys.first && key <= keys.last) {
                            float score = w.p[i * kKeys + j], slope = 1.0F;
                            if (s.slopes != nullptr)
                                score = std::fma(s.slopes[h], static_cast<float>(key - batch.positions[t0 + i]), score);
                            if (s.relative != nullptr)
                                score += s.relative->of(h)[s.relative->held(key - batch.positions[t0 + i])];
                            if (s.softcap > 0) {
                                const float t = fh_tanh(score / s.softcap);
                                score = s.softcap * t;
                                slope = 1.0F - t * t;
                            }
                            p = fh_exp(score - lse);
                            ds = p * (w.ds[i * kKeys + j] - w.d_sum[i]) * slope;
                            if (bias_g != nullptr) bias_g[s.relative->bucket_of(key - batch.positions[t0 + i])] += ds;
                        }
                        w.p[i * kKeys + j] = p;
                        w.ds[i * kKeys + j] = ds;
                    }
                }
                const std::size_t row = first_key_row + page * kKeys;
                add_product(kern, w.ds, 1, kKeys, n_keys, w.qs, d, n, kept.k.g + row * kept.k.cols + kv_head * d,
                            kept.k.cols, d);
                add_product(kern, w.p, 1, kKeys, n_keys, d_out, kept.out.cols, n,
                            values.g + row * values.cols + value_at, values.cols, dv);
                for (std::size_t i = 0; i < n * kKeys; ++i) w.ds[i] *= s.scale;
                add_product(kern, w.ds, kKeys, 1, n, w.k_rows, d, kKeys, dq, kept.q.cols, d);
            }
        }
    }
}

// A sink's share of a row is taken from all its values: the slope is minus the share times the row's d_out . out.
void backward_sinks(Exec& exec, const Kept& kept) {
    Gradients* const grads = exec.tape->gradients();
    const AttentionShape& s = kept.shape;
    if (s.sinks == nullptr || s.sinks_id == kFrozen || grads == nullptr) return;
    const auto dv = static_cast<std::size_t>(s.v_dim), n_heads = static_cast<std::size_t>(s.n_heads);
    for (const Chain& c : exec.tape->chains()) {
        float* const leaf = grads->leaf(s.sinks_id);
        exec.threads.run(n_heads, [&](std::size_t h, int) {
            float sum = 0;
            for (std::size_t t = c.begin; t < c.end; ++t) {
                const float* const o = kept.out.row(t) + h * dv;
                const float* const d_out = kept.out.g + t * kept.out.cols + h * dv;
                float dot = 0;
                for (std::size_t i = 0; i < dv; ++i) dot += d_out[i] * o[i];
                sum -= fh_exp(s.sinks[h] - kept.lse[t * n_heads + h]) * dot;
            }
            leaf[h] = sum;
        });
        grads->push(exec, s.sinks_id);
    }
}

// The table's gradient: of each chain, its segments in their order.
void push_bias(Exec& exec, const Kept& kept) {
    if (kept.bias_g == nullptr) return;
    const std::size_t n_buckets = kept.shape.relative->n_buckets,
                      n_heads = static_cast<std::size_t>(kept.shape.n_heads);
    Gradients& grads = *exec.tape->gradients();
    std::size_t at = 0;
    for (const Chain& c : exec.tape->chains()) {
        float* const leaf = grads.leaf(kept.shape.relative_id);
        std::fill_n(leaf, n_buckets * n_heads, 0.0F);
        for (; at < kept.segments.size() && kept.segments[at].first_row < c.end; ++at) {
            const float* const g = kept.bias_g + at * n_heads * n_buckets;
            for (std::size_t h = 0; h < n_heads; ++h)
                for (std::size_t b = 0; b < n_buckets; ++b) leaf[b * n_heads + h] += g[h * n_buckets + b];
        }
        grads.push(exec, kept.shape.relative_id);
    }
}

void backward(Exec& exec, const Kept& kept, std::span<const std::int32_t> positions) {
    backward_sinks(exec, kept);
    const std::size_t mark = exec.scratch.mark();
    const Batch batch{{}, positions, {}, kept.segments};
    std::vector<Work> work;
    work.reserve(static_cast<std::size_t>(exec.threads.size()));
    for (int i = 0; i < exec.threads.size(); ++i) {
        work.push_back(take_work(exec.scratch, static_cast<std::size_t>(kept.shape.head_dim),
                                 static_cast<std::size_t>(kept.shape.v_dim)));
    }
    const auto n_kv = static_cast<std::size_t>(kept.shape.n_kv_heads);
    exec.threads.run(kept.segments.size() * n_kv, [&](std::size_t task, int worker) {
        backward_head(exec.kernels, kept, batch, task / n_kv, task % n_kv, work[static_cast<std::size_t>(worker)]);
    });
    exec.scratch.reset(mark);
    push_bias(exec, kept);
}

}  // namespace

std::size_t attend_backward_scratch(const AttentionShape& shape, int n_threads) noexcept {
    return static_cast<std::size_t>(n_threads) *
           work_bytes(static_cast<std::size_t>(shape.head_dim), static_cast<std::size_t>(shape.v_dim));
}

void push_attend_backward(Exec& exec, const Batch& batch, const AttentionShape& shape, const KvPlace& place,
                          const Mat& q, const Mat& k, const Mat& v, const Mat& out, const float* lse) {
    Kept kept{{batch.segments.begin(), batch.segments.end()}, {}, shape, place, q, k, v, out, lse};
    for (Segment& s : kept.segments) {
        if (place.of(*s.seq.pages).type != KvType::F32) {
            throw Error(ErrorKind::internal, "a tape needs keys and values in F32: gradients are of what was computed");
        }
        if (!shape.cross && batch.positions[s.first_row] != 0) {
            throw Error(ErrorKind::internal,
                        "under a tape a sequence must begin at position 0: gradients of a cached past are not kept");
        }
        kept.pages.push_back(*s.seq.pages);
    }
    if (shape.relative != nullptr && shape.relative_id != kFrozen && exec.tape->gradients() != nullptr) {
        kept.bias_g = exec.tape->keep_zeros(kept.segments.size() * static_cast<std::size_t>(shape.n_heads) *
                                            shape.relative->n_buckets);
    }
    exec.tape->push([kept = std::move(kept),
                     positions = std::vector<std::int32_t>(batch.positions.begin(), batch.positions.end())](Exec& e) {
        backward(e, kept, positions);
    });
}

}  // namespace freehold
