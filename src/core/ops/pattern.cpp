// The attention pattern: never stored by tiled attention, so computed again for the rows somebody asks for.
#include <algorithm>
#include <cmath>
#include <vector>

#include "attend_backward.h"
#include "freehold/kernels/kv_page.h"

namespace freehold {
namespace {

// p[first key .. last key]: probabilities of one head for a query at `position`; with a sink they do not sum to 1.
void head_pattern(const PageTable& table, const AttentionShape& s, const KvPlace& place, std::size_t head,
                  std::int32_t position, const float* q, KeyRange keys, float* p) {
    const auto kv_head = static_cast<int>(head) / (s.n_heads / s.n_kv_heads);
    const auto dim = static_cast<std::size_t>(s.head_dim);
    const KvGroup& kv = place.of(table);
    float top = -INFINITY;
    for (std::int32_t j = keys.first; j <= keys.last; ++j) {
        const auto js = static_cast<std::size_t>(j);
        const std::byte* const at =
            table.pages[place.group][js / kPageTokens] + kv.k_offset(place.layer_in_group, kv_head);
        float acc = 0;
        for (std::size_t d = 0; d < dim; ++d) {
            acc = std::fma(q[d] * s.scale, kv_key(kv.type, at, dim, js % kPageTokens, d), acc);
        }
        if (s.slopes != nullptr) acc = std::fma(s.slopes[head], static_cast<float>(j - position), acc);
        if (s.relative != nullptr) acc += s.relative->of(head)[s.relative->held(j - position)];
        if (s.softcap > 0) acc = s.softcap * fh_tanh(acc / s.softcap);
        p[js] = acc;
        top = std::max(top, acc);
    }
    if (s.sinks != nullptr) top = std::max(top, s.sinks[head]);
    double sum = s.sinks == nullptr ? 0.0 : static_cast<double>(fh_exp(s.sinks[head] - top));
    for (std::int32_t j = keys.first; j <= keys.last; ++j) {
        p[j] = fh_exp(p[j] - top);
        sum += static_cast<double>(p[j]);
    }
    for (std::int32_t j = keys.first; j <= keys.last; ++j) p[j] = static_cast<float>(static_cast<double>(p[j]) / sum);
}

void apply_pattern(const PageTable& table, const AttentionShape& s, const KvPlace& place, int kv_head, const float* p,
                   KeyRange keys, float* out) {
    const auto v_dim = static_cast<std::size_t>(s.v_dim);
    const KvGroup& kv = place.of(table);
    std::fill_n(out, v_dim, 0.0F);
    for (auto j = static_cast<std::size_t>(keys.first); j <= static_cast<std::size_t>(keys.last); ++j) {
        if (p[j] == 0.0F) continue;
        const std::byte* const page = table.pages[place.group][j / kPageTokens];
        const std::byte* const at =
            page + (s.v_in_k ? kv.k_offset(place.layer_in_group, kv_head) : kv.v_offset(place.layer_in_group, kv_head));
        for (std::size_t d = 0; d < v_dim; ++d) {
            const float value = s.v_in_k ? kv_key(kv.type, at, static_cast<std::size_t>(s.head_dim), j % kPageTokens, d)
                                         : kv_value(kv.type, at, v_dim, j % kPageTokens, d);
            out[d] = std::fma(p[j], value, out[d]);
        }
    }
}

}  // namespace

void show_pattern(const Batch& batch, const AttentionShape& shape, const KvPlace& place, const Mat& q, const Mat& out,
                  const Look& pattern) {
    const auto n_heads = static_cast<std::size_t>(shape.n_heads);
    const std::size_t group = n_heads / static_cast<std::size_t>(shape.n_kv_heads);
    const auto dim = static_cast<std::size_t>(shape.head_dim), v_dim = static_cast<std::size_t>(shape.v_dim);
    std::vector<float> p, before;
    for (const Segment& segment : batch.segments) {
        Probe* const probe = segment.seq.probe;
        if (probe == nullptr || !probe->wants(pattern.at)) continue;
        for (std::size_t t = segment.first_row; t < segment.first_row + segment.n_rows; ++t) {
            const KeyRange keys = visible_keys(shape, batch, segment, t);
            const auto n_keys = static_cast<std::size_t>(keys.last) + 1;
            p.assign(n_heads * n_keys, 0.0F);
            for (std::size_t h = 0; h < n_heads; ++h) {
                head_pattern(*segment.seq.pages, shape, place, h, batch.positions[t], q.row(t) + h * dim, keys,
                             p.data() + h * n_keys);
            }
            before = p;
            probe->visit(pattern.at, batch.positions[t], p);
            for (std::size_t h = 0; h < n_heads; ++h) {
                if (std::equal(p.begin() + static_cast<std::ptrdiff_t>(h * n_keys),
                               p.begin() + static_cast<std::ptrdiff_t>((h + 1) * n_keys),
                               before.begin() + static_cast<std::ptrdiff_t>(h * n_keys))) {
                    continue;
                }
                apply_pattern(*segment.seq.pages, shape, place, static_cast<int>(h / group), p.data() + h * n_keys,
                              keys, out.row(t) + h * v_dim);
            }
        }
    }
}

}  // namespace freehold
