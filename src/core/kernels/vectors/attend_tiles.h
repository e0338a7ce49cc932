// Attention over pages by the vectors of an instruction set: tiles of query rows, lanes are keys for the scores and
// dimensions for the values. Keys that only some rows of a tile see are added for those alone: masked keys are skipped,
// not multiplied. NUMERICS rule 6.
#pragma once

#include <algorithm>
#include <limits>
#include <new>
#include <type_traits>

#include "freehold/kernels/kv_page.h"
#include "functions.h"
#include "vectors/mac_tile.h"

namespace freehold::vectors {

// I as in mac_tile.h, and: Lane (functions.h), kTileRows, kWide<R>, add, max, half, between, sum16, largest. A class,
// so that every function belongs to one instruction set. LoadF16 and LoadQ8 are the loads of I.
template <class I, class LoadF16, class LoadQ8>
class AttendTiles {
 public:
    template <class Load, int R>
    static void run(const AttendTask& task, int row0) noexcept {
        Tile t;
        auto* scratch = reinterpret_cast<float*>(task.scratch);
        begin_tile<R>(t, task, row0, scratch);
        for (int block0 = t.lowest / kKvBlock * kKvBlock; block0 <= t.highest; block0 += kKvBlock) {
            add_block<Load, R, false>(t, block0);
            if ((block0 + kKvBlock) % kKvSpan == 0) close_span(t);
        }
        close_span(t);
        for (int r = 0; r < R; ++r) put_row(t, r, row0 + r);
    }

    // Values that lie in the keys are wanted as rows: a block of them is turned once for all tiles of the task, so here
    // blocks are outside and tiles inside.
    template <class Load, class LoadF32, class InTiles>
    static void run_latent(const AttendTask& task, InTiles&& in_tiles) noexcept {
        static_assert(sizeof(Tile) <= kAttendTileBytes);
        const auto n_rows = static_cast<std::size_t>(task.n_rows), Dv = static_cast<std::size_t>(task.v_dim);
        const std::size_t ldv = (Dv + 15) / 16 * 16;
        auto* const tiles = reinterpret_cast<Tile*>(task.scratch);
        auto* scratch = reinterpret_cast<float*>(task.scratch + n_rows * kAttendTileBytes);
        float* const values = scratch;
        scratch += kKvBlock * ldv;
        std::fill_n(values, kKvBlock * ldv, 0.0F);
        int lowest = std::numeric_limits<int>::max(), highest = -1;
        std::size_t n = 0;
        in_tiles(n_rows, [&]<int R>(std::size_t row) {
            Tile& t = *new (tiles + n++) Tile;
            begin_tile<R>(t, task, static_cast<int>(row), scratch);
            t.values = values;
            lowest = std::min(lowest, t.lowest);
            highest = std::max(highest, t.highest);
        });
        for (int block0 = lowest / kKvBlock * kKvBlock; block0 <= highest; block0 += kKvBlock) {
            const int end = std::min(highest + 1, block0 + kKvBlock);
            turn_block<Load>(task, block0, std::max(lowest, block0) / kPageTokens, (end - 1) / kPageTokens, ldv,
                             values);
            n = 0;
            in_tiles(n_rows, [&]<int R>(std::size_t) {
                Tile& t = tiles[n++];
                if (t.lowest >= block0 + kKvBlock || t.highest < block0) return;
                add_block<Load, R, true, LoadF32>(t, block0);
                if ((block0 + kKvBlock) % kKvSpan == 0) close_span(t);
            });
        }
        n = 0;
        in_tiles(n_rows, [&]<int R>(std::size_t row) {
            Tile& t = tiles[n++];
            close_span(t);
            for (int r = 0; r < R; ++r) put_row(t, r, static_cast<int>(row) + r);
        });
    }

 private:
    struct Tile;

    // Memory of a tile from `at` on, which moves behind it, and its rows: scaled queries and the keys they see.
    template <int R>
    static void begin_tile(Tile& t, const AttendTask& task, int row0, float*& at) noexcept {
        t.task = &task;
        t.rows = R;
        t.D = static_cast<std::size_t>(task.head_dim);
        t.Dv = static_cast<std::size_t>(task.v_dim);
        t.ldv = (t.Dv + 15) / 16 * 16;
        t.p = at;
        at += R * kKvBlock;
        t.span = at;
        at += R * t.ldv;
        t.total = at;
        at += R * t.ldv;
        t.q = at;
        at += (R * t.D + 15) / 16 * 16;
        t.lowest = std::numeric_limits<int>::max();
        t.highest = -1;
        for (int r = 0; r < R; ++r) {
            const float* q = task.q[row0 + r];
            for (std::size_t d = 0; d < t.D; ++d) t.q[static_cast<std::size_t>(r) * t.D + d] = q[d] * task.scale;
            t.first[r] = std::max(task.first[row0 + r], 0);
            t.last[r] = task.last[row0 + r];
            t.slope[r] = task.slope == nullptr ? 0.0F : task.slope[row0 + r];
            t.at[r] = task.at == nullptr ? 0 : task.at[row0 + r];
            t.bias[r] = task.bias == nullptr ? nullptr : task.bias[row0 + r];
            t.in_span[r] = t.begun[r] = false;
            if (t.first[r] > t.last[r]) {  // sees nothing: out of the way of the tile's range
                t.first[r] = std::numeric_limits<int>::max();
                t.last[r] = -1;
                continue;
            }
            t.lowest = std::min(t.lowest, t.first[r]);
            t.highest = std::max(t.highest, t.last[r]);
        }
    }

    using Vec = typename I::Vec;
    using Lane = typename I::Lane;
    static constexpr int kTileRows = I::kTileRows;
    static constexpr int kP = kParts<I>;
    static constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

    struct Steps {
        float v[kKvBlock];
        constexpr Steps() : v{} {
            for (int i = 0; i < kKvBlock; ++i) v[i] = static_cast<float>(i);
        }
    };
    static constexpr Steps kSteps{};  // 0, 1, 2, ...

    // One tile of rows with what it carries through the keys.
    struct Tile {
        const AttendTask* task;
        int rows = 0;
        std::size_t D = 0, Dv = 0, ldv = 0;  // ldv: Dv padded to 16
        float* q = nullptr;                  // [rows][D], scaled
        float* p = nullptr;                  // [rows][64], scores, then probabilities
        float* span = nullptr;               // [rows][ldv]
        float* total = nullptr;              // [rows][ldv]
        const float* values = nullptr;       // [64][ldv], where they lie in the keys
        int lowest = 0, highest = -1;        // keys that any row sees
        int first[kTileRows], last[kTileRows], at[kTileRows];
        float slope[kTileRows];
        const float* bias[kTileRows];
        float span_max[kTileRows], span_sum[kTileRows], total_max[kTileRows], total_sum[kTileRows];
        bool in_span[kTileRows], begun[kTileRows];
    };

    template <class Load>
    static const typename Load::Element* elements(const std::byte* page, std::size_t offset) noexcept {
        return reinterpret_cast<const typename Load::Element*>(page + offset);
    }

    // Scales of a page in Q8_0, which stand behind its keys or values.
    static const std::uint16_t* scales_of(const std::byte* page, std::size_t offset, std::size_t dim) noexcept {
        return reinterpret_cast<const std::uint16_t*>(page + offset + kv_scales_at(dim));
    }

    // Scores of the keys of W pages for all rows of the tile.
    template <class Load, int R, int W>
    static void score_pages(const Tile& t, const std::byte* const* pages, float* out) noexcept {
        const typename Load::Element* keys[W];
#pragma GCC unroll 4
        for (int w = 0; w < W; ++w) keys[w] = elements<Load>(pages[w], t.task->k_offset);
        Vec acc[R][W * kP];
        clear<I>(acc);
        if constexpr (std::is_same_v<Load, LoadQ8>) {
            for (std::size_t d = 0; d < t.D; d += kKvQuant) {
                Vec scales[W * kP];
#pragma GCC unroll 16
                for (int i = 0; i < W * kP; ++i) {
                    const std::uint16_t* s =
                        scales_of(pages[i / kP], t.task->k_offset, t.D) + d / kKvQuant * kPageTokens;
                    scales[i] = LoadF16::lanes(s + I::kLanes * (i % kP));
                }
                mac_tile<I, Load, R, W>(t.q + d, t.D, 1, keys, kPageTokens, std::min<std::size_t>(kKvQuant, t.D - d),
                                        acc, scales);
#pragma GCC unroll 4
                for (int w = 0; w < W; ++w) keys[w] += kKvQuant * kPageTokens;
            }
        } else {
            mac_tile<I, Load, R, W>(t.q, t.D, 1, keys, kPageTokens, t.D, acc);
        }
        store_tile<I>(out, kKvBlock, acc);
    }

    // Pages [page0, page1] of the block; an absent page is one that no row looks at.
    template <class Load, int R>
    static void score_block(const Tile& t, int block0, int page0, int page1) noexcept {
        constexpr int kWide = I::template kWide<R>;
        for (int page = page0; page <= page1;) {
            const std::byte* const* pages = t.task->pages + page;
            float* out = t.p + (page * kPageTokens - block0);
            bool together = page + kWide - 1 <= page1;
            for (int w = 0; together && w < kWide; ++w) together = pages[w] != nullptr;
            if (together)
                score_pages<Load, R, kWide>(t, pages, out);
            else if (pages[0] != nullptr)
                score_pages<Load, R, 1>(t, pages, out);
            page += together ? kWide : 1;
        }
    }

    // span[r] += sum of p[r][key] * V[key] over keys [begin, end) of the block, ascending, for rows [r0, r0 + R), in
    // dimensions [d, d + 16 W).
    template <class Load, int R, int W>
    static void add_values_at(const Tile& t, int r0, int block0, int begin, int end, std::size_t d) noexcept {
        float* out = t.span + static_cast<std::size_t>(r0) * t.ldv + d;
        Vec acc[R][W * kP];
        load_tile<I>(out, t.ldv, acc);
        for (int key = begin; key < end;) {
            const int page_end = std::min(end, (key / kPageTokens + 1) * kPageTokens);
            const auto* v = elements<Load>(t.task->pages[key / kPageTokens], t.task->v_offset) +
                            static_cast<std::size_t>(key % kPageTokens) * t.Dv + d;
            const typename Load::Element* values[W];
#pragma GCC unroll 4
            for (int w = 0; w < W; ++w) values[w] = v + 16 * w;
            const float* p = t.p + r0 * kKvBlock + (key - block0);
            if constexpr (std::is_same_v<Load, LoadQ8>) {
                const std::size_t blocks = kv_blocks(t.Dv);
                const std::uint16_t* s = scales_of(t.task->pages[key / kPageTokens], t.task->v_offset, t.Dv) +
                                         static_cast<std::size_t>(key % kPageTokens) * blocks;
                for (; key < page_end; ++key, ++p, s += blocks) {
                    Vec scales[W * kP];
#pragma GCC unroll 16
                    for (int i = 0; i < W * kP; ++i)
                        scales[i] = I::set(I::half(s[(d + 16 * static_cast<std::size_t>(i / kP)) / kKvQuant]));
                    mac_tile<I, Load, R, W>(p, kKvBlock, 1, values, t.Dv, 1, acc, scales);
#pragma GCC unroll 4
                    for (int w = 0; w < W; ++w) values[w] += t.Dv;
                }
            } else {
                mac_tile<I, Load, R, W>(p, kKvBlock, 1, values, t.Dv, static_cast<std::size_t>(page_end - key), acc);
                key = page_end;
            }
        }
        store_tile<I>(out, t.ldv, acc);
    }

    template <class Load, int R>
    static void add_values(const Tile& t, int r0, int block0, int begin, int end) noexcept {
        constexpr int kWide = I::template kWide<R>;
        std::size_t d = 0;
        for (; d + 16 * kWide <= t.Dv; d += 16 * kWide) add_values_at<Load, R, kWide>(t, r0, block0, begin, end, d);
        for (; d + 16 <= t.Dv; d += 16) add_values_at<Load, R, 1>(t, r0, block0, begin, end, d);
        for (; d < t.Dv; ++d)
            for (int r = r0; r < r0 + R; ++r)
                for (int key = begin; key < end; ++key) {
                    const float value = kv_value(t.task->type, t.task->pages[key / kPageTokens] + t.task->v_offset,
                                                 t.Dv, static_cast<std::size_t>(key % kPageTokens), d);
                    float& acc = t.span[static_cast<std::size_t>(r) * t.ldv + d];
                    acc = __builtin_fmaf(t.p[r * kKvBlock + (key - block0)], value, acc);
                }
    }

    // Rows of values from keys whose first numbers they are: pages [page0, page1] of a block; an absent page is one
    // that no row looks at.
    template <class Load>
    static void turn_block(const AttendTask& task, int block0, int page0, int page1, std::size_t ldv,
                           float* values) noexcept {
        const auto D = static_cast<std::size_t>(task.head_dim), Dv = static_cast<std::size_t>(task.v_dim);
        for (int page = page0; page <= page1; ++page) {
            if (task.pages[page] == nullptr) continue;
            const typename Load::Element* keys = elements<Load>(task.pages[page], task.k_offset);
            float* const to = values + static_cast<std::size_t>(page * kPageTokens - block0) * ldv;
            for (std::size_t d0 = 0; d0 < Dv; d0 += 16) {
                const std::size_t n = std::min<std::size_t>(16, Dv - d0);
                float lines[16][kPageTokens];
                for (std::size_t i = 0; i < n; ++i) {
                    const std::size_t d = d0 + i;
#pragma GCC unroll 4
                    for (int part = 0; part < kP; ++part) {
                        Vec v = Load::lanes(keys + d * kPageTokens + I::kLanes * part);
                        if constexpr (std::is_same_v<Load, LoadQ8>) {
                            v = I::mul(v, LoadF16::lanes(scales_of(task.pages[page], task.k_offset, D) +
                                                         d / kKvQuant * kPageTokens + I::kLanes * part));
                        }
                        I::store(lines[i] + I::kLanes * part, v);
                    }
                }
                for (std::size_t slot = 0; slot < kPageTokens; ++slot)
                    for (std::size_t i = 0; i < n; ++i) to[slot * ldv + d0 + i] = lines[i][slot];
            }
        }
    }

    // As add_values_at, from rows of values that were turned.
    template <class LoadF32, int R, int W>
    static void add_turned_at(const Tile& t, int r0, int block0, int begin, int end, std::size_t d) noexcept {
        float* out = t.span + static_cast<std::size_t>(r0) * t.ldv + d;
        Vec acc[R][W * kP];
        load_tile<I>(out, t.ldv, acc);
        const float* values[W];
#pragma GCC unroll 4
        for (int w = 0; w < W; ++w)
            values[w] = t.values + static_cast<std::size_t>(begin - block0) * t.ldv + d + 16 * w;
        mac_tile<I, LoadF32, R, W>(t.p + r0 * kKvBlock + (begin - block0), kKvBlock, 1, values, t.ldv,
                                   static_cast<std::size_t>(end - begin), acc);
        store_tile<I>(out, t.ldv, acc);
    }

    template <class LoadF32, int R>
    static void add_turned(const Tile& t, int r0, int block0, int begin, int end) noexcept {
        constexpr int kWide = I::template kWide<R>;
        std::size_t d = 0;
        for (; d + 16 * kWide <= t.ldv; d += 16 * kWide) add_turned_at<LoadF32, R, kWide>(t, r0, block0, begin, end, d);
        for (; d < t.ldv; d += 16) add_turned_at<LoadF32, R, 1>(t, r0, block0, begin, end, d);
    }

    // From where the values of this task lie: in pages, or turned.
    template <class Load, int R, bool kTurned, class LoadF32>
    static void add_some_values(const Tile& t, int r0, int block0, int begin, int end) noexcept {
        if constexpr (kTurned)
            add_turned<LoadF32, R>(t, r0, block0, begin, end);
        else
            add_values<Load, R>(t, r0, block0, begin, end);
    }

    // Values of a block: the keys that all rows see as a tile; what only some see is added row by row, before and
    // after.
    template <class Load, int R, bool kTurned, class LoadF32>
    static void value_block(const Tile& t, int block0) noexcept {
        const int block_end = block0 + kKvBlock;
        int begin = block0, end = block_end;
        for (int r = 0; r < R; ++r) {
            begin = std::max(begin, t.first[r]);
            end = std::min(end, t.last[r] + 1);
        }
        const bool common = begin < end;
        for (int r = 0; r < R; ++r) {
            const int from = std::max(block0, t.first[r]), to = std::min(common ? begin : block_end, t.last[r] + 1);
            if (from < to) add_some_values<Load, 1, kTurned, LoadF32>(t, r, block0, from, to);
        }
        if (!common) return;
        add_some_values<Load, R, kTurned, LoadF32>(t, 0, block0, begin, end);
        for (int r = 0; r < R; ++r) {
            const int to = std::min(block_end, t.last[r] + 1);
            if (end < to) add_some_values<Load, 1, kTurned, LoadF32>(t, r, block0, end, to);
        }
    }

    static void scale_row(float* x, std::size_t padded, float factor) noexcept {
        const Vec f = I::set(factor);
        for (std::size_t d = 0; d < padded; d += I::kLanes) I::store(x + d, I::mul(I::load(x + d), f));
    }

    // ALiBi: slope times the distance of each key of the block, on one row's scores. A pass of its own, so that models
    // without it do not pay.
    static void add_distances(const Tile& t, int r, int block0) noexcept {
        float* p = t.p + r * kKvBlock;
        const Vec slope = I::set(t.slope[r]), first = I::set(static_cast<float>(block0 - t.at[r]));
        for (int i = 0; i < kKvBlock; i += I::kLanes)
            I::store(p + i, I::fma(slope, I::add(first, I::load(kSteps.v + i)), I::load(p + i)));
    }

    // Relative positions: the row's bias for the distance of each key of the block. Beyond its reach the table is
    // constant, so that a block farther away reads the table's end.
    static void add_bias(const Tile& t, int r, int block0) noexcept {
        const int reach = t.task->bias_reach;
        const float* const bias = t.bias[r] + std::clamp(block0 - t.at[r], -(reach + kKvBlock), reach);
        float* p = t.p + r * kKvBlock;
        for (int i = 0; i < kKvBlock; i += I::kLanes) I::store(p + i, I::add(I::load(p + i), I::load(bias + i)));
    }

    // Scores to probabilities of one row and block: masks, maximum, correction of what was summed before, exponentials,
    // sum.
    static void softmax_block(Tile& t, int r, int block0) noexcept {
        constexpr int kVectors = kKvBlock / I::kLanes;
        float* p = t.p + r * kKvBlock;
        const int low = t.first[r] - block0 - 1, high = t.last[r] - block0 + 1;
        const Vec minus_infinity = I::set(kMinusInfinity);
        const Lane cap = Lane::set(t.task->softcap);
        Vec s[kVectors];
        Vec best = minus_infinity;
#pragma GCC unroll 16
        for (int i = 0; i < kVectors; ++i) {
            Lane score{I::load(p + I::kLanes * i)};
            if (t.task->softcap != 0) score = formula::softcap_of(score, cap);
            s[i] = I::between(score.v, I::kLanes * i, low, high, minus_infinity);
            best = I::max(s[i], best);
        }
        const float block_max = I::largest(best);
        float* const span = t.span + static_cast<std::size_t>(r) * t.ldv;
        if (!t.in_span[r]) {
            t.in_span[r] = true;
            t.span_sum[r] = 0;
            std::fill_n(span, t.ldv, 0.0F);
            t.span_max[r] = std::max(kMinusInfinity, block_max);
        } else if (block_max > t.span_max[r]) {
            const float correction = fh_exp(t.span_max[r] - block_max);
            t.span_sum[r] *= correction;
            scale_row(span, t.ldv, correction);
            t.span_max[r] = block_max;
        }
        const Lane max = Lane::set(t.span_max[r]);
        Vec sums[kP];
#pragma GCC unroll 4
        for (int i = 0; i < kP; ++i) sums[i] = I::zero();
#pragma GCC unroll 16
        for (int i = 0; i < kVectors; ++i) {
            // A masked lane is minus infinity, so it becomes 0 and adds nothing.
            const Vec e = formula::exp_nonpositive_of(Lane{s[i]} - max).v;
            sums[i % kP] = I::add(sums[i % kP], e);
            I::store(p + I::kLanes * i, e);
        }
        t.span_sum[r] += I::sum16(sums);
    }

    // One block of 64 keys for the tile.
    template <class Load, int R, bool kTurned, class LoadF32 = void>
    static void add_block(Tile& t, int block0) noexcept {
        const int begin = std::max(t.lowest, block0), end = std::min(t.highest + 1, block0 + kKvBlock);
        const int page0 = begin / kPageTokens, page1 = (end - 1) / kPageTokens;
        score_block<Load, R>(t, block0, page0, page1);
        for (int r = 0; r < R; ++r)
            if (t.first[r] < block0 + kKvBlock && t.last[r] >= block0 && t.first[r] <= t.last[r]) {
                if (t.task->slope != nullptr) [[unlikely]]
                    add_distances(t, r, block0);
                if (t.task->bias != nullptr) [[unlikely]]
                    add_bias(t, r, block0);
                softmax_block(t, r, block0);
            }
        value_block<Load, R, kTurned, LoadF32>(t, block0);
    }

    // Spans are merged in ascending order; the first one is taken as it is.
    static void close_span(Tile& t) noexcept {
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
            const Vec f_old = I::set(old_factor), f_new = I::set(new_factor);
            for (std::size_t d = 0; d < t.ldv; d += I::kLanes)
                I::store(total + d, I::fma(I::load(span + d), f_new, I::mul(I::load(total + d), f_old)));
            t.total_max[r] = max;
        }
    }

    // What the caller asked for of one row: values divided by their sum, or both apart for spans to be merged.
    static void put_row(const Tile& t, int r, int row) noexcept {
        const AttendTask& task = *t.task;
        float* out = task.out[row];
        const float* total = t.total + static_cast<std::size_t>(r) * t.ldv;
        if (task.sum != nullptr) {
            for (std::size_t d = 0; d < t.Dv; ++d) out[d] = t.begun[r] ? total[d] : 0.0F;
            task.max[row] = t.begun[r] ? t.total_max[r] : kMinusInfinity;
            task.sum[row] = t.begun[r] ? t.total_sum[r] : 0.0F;
            return;
        }
        WithSink all{t.total_max[r], t.total_sum[r], 1.0F};
        if (task.sink != nullptr && t.begun[r]) [[unlikely]]
            all = with_sink(all.max, all.sum, task.sink[row]);
        for (std::size_t d = 0; d < t.Dv; ++d) out[d] = t.begun[r] ? total[d] * all.factor / all.sum : 0.0F;
        if (task.logsumexp != nullptr) task.logsumexp[row] = t.begun[r] ? all.max + fh_log(all.sum) : kMinusInfinity;
    }
};

// The whole entry: the three types of keys and values; in_tiles(rows, f) cuts rows into tiles of I.
template <class I, class LoadF32, class LoadF16, class LoadQ8, class InTiles>
void attend(const AttendTask& task, InTiles&& in_tiles) noexcept {
    const auto with = [&]<class Load>() {
        if (task.v_in_k) {
            AttendTiles<I, LoadF16, LoadQ8>::template run_latent<Load, LoadF32>(task, in_tiles);
            return;
        }
        in_tiles(static_cast<std::size_t>(task.n_rows), [&]<int R>(std::size_t row) {
            AttendTiles<I, LoadF16, LoadQ8>::template run<Load, R>(task, static_cast<int>(row));
        });
    };
    if (task.type == KvType::F32)
        with.template operator()<LoadF32>();
    else if (task.type == KvType::F16)
        with.template operator()<LoadF16>();
    else
        with.template operator()<LoadQ8>();
}

}  // namespace freehold::vectors
