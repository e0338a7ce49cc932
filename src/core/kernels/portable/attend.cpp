// Attention over pages in portable vectors: tiles of up to six query rows, lanes are keys for the scores and dimensions
// for the values. Keys that only some rows of a tile see are added for those alone: masked keys are skipped.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "freehold/kernels/kv_page.h"
#include "portable/mac_tile.h"
#include "portable/table.h"

namespace freehold::portable {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// One tile of rows with what it carries through the keys.
struct Tile {
    const AttendTask* task;
    int rows = 0;
    std::size_t D = 0, Dv = 0, ldv = 0;  // ldv: Dv padded to 16
    float* q = nullptr;                  // [rows][D], scaled
    float* p = nullptr;                  // [rows][64], scores, then probabilities
    float* span = nullptr;               // [rows][ldv]
    float* total = nullptr;              // [rows][ldv]
    int first[kTileRows], last[kTileRows];
    float span_max[kTileRows], span_sum[kTileRows], total_max[kTileRows], total_sum[kTileRows];
    bool in_span[kTileRows], begun[kTileRows];
};

template <class Load>
const typename Load::Element* elements(const std::byte* page, std::size_t offset) noexcept {
    return reinterpret_cast<const typename Load::Element*>(page + offset);
}

// Scales of a page in Q8_0, which stand behind its keys or values.
const std::uint16_t* scales_of(const std::byte* page, std::size_t offset, std::size_t dim) noexcept {
    return reinterpret_cast<const std::uint16_t*>(page + offset + kv_scales_at(dim));
}

// Panels side by side for R rows: enough chains to hide latency, few enough to stay in registers.
template <int R>
inline constexpr int kWide = R == 1 ? 4 : (R == 2 ? 2 : 1);

// Scores of the keys of W pages for all rows of the tile.
template <class Load, int R, int W>
void score_pages(const Tile& t, const std::byte* const* pages, float* out) noexcept {
    const typename Load::Element* keys[W];
    for (int w = 0; w < W; ++w) keys[w] = elements<Load>(pages[w], t.task->k_offset);
    VF acc[R][4 * W];
    clear(acc);
    if constexpr (std::is_same_v<Load, LoadQ8>) {
        for (std::size_t d = 0; d < t.D; d += kKvQuant) {
            VF scales[4 * W];
            for (int w = 0; w < W; ++w) {
                const std::uint16_t* s = scales_of(pages[w], t.task->k_offset, t.D) + d / kKvQuant * kPageTokens;
                for (int j = 0; j < 4; ++j) scales[4 * w + j] = load_f16(s + 4 * j);
            }
            mac_tile<Load, R, W>(t.q + d, t.D, 1, keys, kPageTokens, std::min<std::size_t>(kKvQuant, t.D - d), acc,
                                 scales);
            for (int w = 0; w < W; ++w) keys[w] += kKvQuant * kPageTokens;
        }
    } else {
        mac_tile<Load, R, W>(t.q, t.D, 1, keys, kPageTokens, t.D, acc);
    }
    store_tile(out, kKvBlock, acc);
}

// Pages [page0, page1] of the block; an absent page is one that no row looks at.
template <class Load, int R>
void score_block(const Tile& t, int block0, int page0, int page1) noexcept {
    for (int page = page0; page <= page1;) {
        const std::byte* const* pages = t.task->pages + page;
        float* out = t.p + (page * kPageTokens - block0);
        bool together = page + kWide<R> - 1 <= page1;
        for (int w = 0; together && w < kWide<R>; ++w) together = pages[w] != nullptr;
        if (together)
            score_pages<Load, R, kWide<R>>(t, pages, out);
        else if (pages[0] != nullptr)
            score_pages<Load, R, 1>(t, pages, out);
        page += together ? kWide<R> : 1;
    }
}

// span[r] += sum of p[r][key] * V[key] over keys [begin, end) of the block, ascending, for rows [r0, r0 + R), in
// dimensions [d, d + 16 W).
template <class Load, int R, int W>
void add_values_at(const Tile& t, int r0, int block0, int begin, int end, std::size_t d) noexcept {
    float* out = t.span + static_cast<std::size_t>(r0) * t.ldv + d;
    VF acc[R][4 * W];
    load_tile(out, t.ldv, acc);
    for (int key = begin; key < end;) {
        const int page_end = std::min(end, (key / kPageTokens + 1) * kPageTokens);
        const auto* v = elements<Load>(t.task->pages[key / kPageTokens], t.task->v_offset) +
                        static_cast<std::size_t>(key % kPageTokens) * t.Dv + d;
        const typename Load::Element* values[W];
        for (int w = 0; w < W; ++w) values[w] = v + 16 * w;
        const float* p = t.p + r0 * kKvBlock + (key - block0);
        if constexpr (std::is_same_v<Load, LoadQ8>) {
            const std::size_t blocks = kv_blocks(t.Dv);
            const std::uint16_t* s = scales_of(t.task->pages[key / kPageTokens], t.task->v_offset, t.Dv) +
                                     static_cast<std::size_t>(key % kPageTokens) * blocks;
            for (; key < page_end; ++key, ++p, s += blocks) {
                VF scales[4 * W];
                for (int w = 0; w < W; ++w) {
                    const std::size_t block = (d + 16 * static_cast<std::size_t>(w)) / kKvQuant;
                    for (int j = 0; j < 4; ++j) scales[4 * w + j] = broadcast_f16(s[block]);
                }
                mac_tile<Load, R, W>(p, kKvBlock, 1, values, t.Dv, 1, acc, scales);
                for (int w = 0; w < W; ++w) values[w] += t.Dv;
            }
        } else {
            mac_tile<Load, R, W>(p, kKvBlock, 1, values, t.Dv, static_cast<std::size_t>(page_end - key), acc);
            key = page_end;
        }
    }
    store_tile(out, t.ldv, acc);
}

template <class Load, int R>
void add_values(const Tile& t, int r0, int block0, int begin, int end) noexcept {
    std::size_t d = 0;
    for (; d + 16 * kWide<R> <= t.Dv; d += 16 * kWide<R>)
        add_values_at<Load, R, kWide<R>>(t, r0, block0, begin, end, d);
    for (; d + 16 <= t.Dv; d += 16) add_values_at<Load, R, 1>(t, r0, block0, begin, end, d);
    for (; d < t.Dv; ++d)
        for (int r = r0; r < r0 + R; ++r)
            for (int key = begin; key < end; ++key) {
                const float value = kv_value(t.task->type, t.task->pages[key / kPageTokens] + t.task->v_offset, t.Dv,
                                             static_cast<std::size_t>(key % kPageTokens), d);
                float& acc = t.span[static_cast<std::size_t>(r) * t.ldv + d];
                acc = __builtin_fmaf(t.p[r * kKvBlock + (key - block0)], value, acc);
            }
}

// Values of a block: the keys that all rows see as a tile; what only some see is added row by row, before and after.
template <class Load, int R>
void value_block(const Tile& t, int block0) noexcept {
    const int block_end = block0 + kKvBlock;
    int begin = block0, end = block_end;
    for (int r = 0; r < R; ++r) {
        begin = std::max(begin, t.first[r]);
        end = std::min(end, t.last[r] + 1);
    }
    const bool common = begin < end;
    for (int r = 0; r < R; ++r) {
        const int from = std::max(block0, t.first[r]), to = std::min(common ? begin : block_end, t.last[r] + 1);
        if (from < to) add_values<Load, 1>(t, r, block0, from, to);
    }
    if (!common) return;
    add_values<Load, R>(t, 0, block0, begin, end);
    for (int r = 0; r < R; ++r) {
        const int to = std::min(block_end, t.last[r] + 1);
        if (end < to) add_values<Load, 1>(t, r, block0, end, to);
    }
}

void scale_row(float* x, std::size_t padded, float factor) noexcept {
    const VF f = broadcast(factor);
    for (std::size_t d = 0; d < padded; d += kLanes) store(hn::Mul(load(x + d), f), x + d);
}

// Scores to probabilities of one row and block: masks, maximum, correction of what was summed before, exponentials,
// sum.
void softmax_block(Tile& t, int r, int block0) noexcept {
    float* p = t.p + r * kKvBlock;
    const VI low = hn::Set(DI(), t.first[r] - block0 - 1), high = hn::Set(DI(), t.last[r] - block0 + 1);
    const VF minus_infinity = broadcast(kMinusInfinity);
    const F4 cap = F4::set(t.task->softcap);
    VF best = minus_infinity;
    for (std::size_t i = 0; i < kKvBlock; i += kLanes) {
        const VI key = hn::Iota(DI(), static_cast<std::int32_t>(i));
        const hn::Mask<DI> seen = hn::And(hn::Gt(key, low), hn::Gt(high, key));
        F4 score{load(p + i)};
        if (t.task->softcap != 0) score = formula::softcap_of(score, cap);
        const VF s = hn::IfThenElse(hn::RebindMask(DF(), seen), score.v, minus_infinity);
        best = larger(s, best);
        store(s, p + i);
    }
    const float block_max = largest(best);
    if (!t.in_span[r]) {
        t.in_span[r] = true;
        t.span_max[r] = kMinusInfinity;
        t.span_sum[r] = 0;
        std::fill_n(t.span + static_cast<std::size_t>(r) * t.ldv, t.ldv, 0.0F);
        t.span_max[r] = std::max(t.span_max[r], block_max);
    } else if (block_max > t.span_max[r]) {
        const float correction = fh_exp(t.span_max[r] - block_max);
        t.span_sum[r] *= correction;
        scale_row(t.span + static_cast<std::size_t>(r) * t.ldv, t.ldv, correction);
        t.span_max[r] = block_max;
    }
    const F4 max = F4::set(t.span_max[r]);
    VF lanes[4] = {hn::Zero(DF()), hn::Zero(DF()), hn::Zero(DF()), hn::Zero(DF())};
    for (std::size_t i = 0; i < kKvBlock; i += 16)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; ++j) {
            // A masked lane is minus infinity, so it becomes 0 and adds nothing.
            const VF e = formula::exp_nonpositive_of(F4{load(p + i + kLanes * j)} - max).v;
            lanes[j] = hn::Add(lanes[j], e);
            store(e, p + i + kLanes * j);
        }
    t.span_sum[r] += tree16(lanes);
}

// One block of 64 keys for the tile.
template <class Load, int R>
void add_block(Tile& t, int block0) noexcept {
    int lowest = t.first[0], highest = t.last[0];
    for (int r = 1; r < R; ++r) {
        lowest = std::min(lowest, t.first[r]);
        highest = std::max(highest, t.last[r]);
    }
    const int begin = std::max(lowest, block0), end = std::min(highest + 1, block0 + kKvBlock);
    const int page0 = begin / kPageTokens, page1 = (end - 1) / kPageTokens;
    score_block<Load, R>(t, block0, page0, page1);
    for (int r = 0; r < R; ++r)
        if (t.first[r] < block0 + kKvBlock && t.last[r] >= block0 && t.first[r] <= t.last[r])
            softmax_block(t, r, block0);
    value_block<Load, R>(t, block0);
}

// Spans are merged in ascending order; the first one is taken as it is.
void close_span(Tile& t) noexcept {
    for (int r = 0; r < t.rows; ++r) {
        if (!t.in_span[r]) continue;
        t.in_span[r] = false;
        float* span = t.span + static_cast<std::size_t>(r) * t.ldv;
        float* total = t.total + static_cast<std::size_t>(r) * t.ldv;
        if (!t.begun[r]) {
            t.begun[r] = true;
            std::copy_n(span, t.ldv, total);
            t.total_max[r] = t.span_max[r];
            t.total_sum[r] = t.span_sum[r];
            continue;
        }
        const float max = std::max(t.total_max[r], t.span_max[r]);
        const float old_factor = fh_exp(t.total_max[r] - max), new_factor = fh_exp(t.span_max[r] - max);
        t.total_sum[r] = __builtin_fmaf(t.span_sum[r], new_factor, t.total_sum[r] * old_factor);
        const VF f_old = broadcast(old_factor), f_new = broadcast(new_factor);
        for (std::size_t d = 0; d < t.ldv; d += kLanes)
            store(hn::MulAdd(load(span + d), f_new, hn::Mul(load(total + d), f_old)), total + d);
        t.total_max[r] = max;
    }
}

template <class Load, int R>
void attend_tile(const AttendTask& task, int row0) noexcept {
    Tile t;
    t.task = &task;
    t.rows = R;
    t.D = static_cast<std::size_t>(task.head_dim);
    t.Dv = static_cast<std::size_t>(task.v_dim);
    t.ldv = (t.Dv + 15) / 16 * 16;
    auto* at = reinterpret_cast<float*>(task.scratch);
    t.p = at;
    at += R * kKvBlock;
    t.span = at;
    at += R * t.ldv;
    t.total = at;
    at += R * t.ldv;
    t.q = at;
    int lowest = std::numeric_limits<int>::max(), highest = -1;
    for (int r = 0; r < R; ++r) {
        const float* q = task.q[row0 + r];
        for (std::size_t d = 0; d < t.D; ++d) t.q[static_cast<std::size_t>(r) * t.D + d] = q[d] * task.scale;
        t.first[r] = std::max(task.first[row0 + r], 0);
        t.last[r] = task.last[row0 + r];
        t.in_span[r] = t.begun[r] = false;
        if (t.first[r] > t.last[r]) {  // sees nothing: out of the way of the tile's range
            t.first[r] = std::numeric_limits<int>::max();
            t.last[r] = -1;
            continue;
        }
        lowest = std::min(lowest, t.first[r]);
        highest = std::max(highest, t.last[r]);
    }
    for (int block0 = lowest / kKvBlock * kKvBlock; block0 <= highest; block0 += kKvBlock) {
        add_block<Load, R>(t, block0);
        if ((block0 + kKvBlock) % kKvSpan == 0) close_span(t);
    }
    close_span(t);
    for (int r = 0; r < R; ++r) {
        float* out = task.out[row0 + r];
        const float* total = t.total + static_cast<std::size_t>(r) * t.ldv;
        for (std::size_t d = 0; d < t.Dv; ++d) out[d] = t.begun[r] ? total[d] / t.total_sum[r] : 0.0F;
        if (task.logsumexp != nullptr)
            task.logsumexp[row0 + r] = t.begun[r] ? t.total_max[r] + fh_log(t.total_sum[r]) : kMinusInfinity;
    }
}

template <class Load>
void attend_rows(const AttendTask& task) noexcept {
    by_tiles(static_cast<std::size_t>(task.n_rows),
             [&]<int R>(std::size_t row) { attend_tile<Load, R>(task, static_cast<int>(row)); });
}

}  // namespace

void attend(const AttendTask& task) {
    if (task.type == KvType::F32)
        attend_rows<LoadF32>(task);
    else if (task.type == KvType::F16)
        attend_rows<LoadF16>(task);
    else
        attend_rows<LoadQ8>(task);
}

}  // namespace freehold::portable
