// attend_split: few tiles of query rows, as in decoding, over many threads. Keys are split by the spans that the order
// of the kernel has anyway (rule 6), query rows wherever they help: a row never knows its neighbours. So no bit
// changes.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attend_tiles.h"

namespace freehold {
namespace {

// Tiles times KV heads below kFewLines a thread are split. Spans are computed for kWave lines a thread at a time, so
// that memory does not grow with the context.
constexpr std::size_t kFewLines = 4, kWave = 8;

// The keys of a span as one tile and KV head ("line") sees them.
struct Unit {
    std::uint32_t line, slot;  // slot: where its result lies
    std::int32_t first, last;  // keys
    std::uint32_t rows;
    // Reading a key costs as much as one row's arithmetic with it (tiles of one to six rows, measured).
    [[nodiscard]] std::size_t cost(std::size_t n) const { return static_cast<std::size_t>(last - first + 1) * (1 + n); }
};

// Query rows [row0, row0 + n) of a unit: what a thread does at a time.
struct Piece {
    std::uint32_t unit, row0, n;
};

// The longest unit first, each to the thread that is free first; where a thread would end after its fair share, the
// unit goes in `parts` pieces. Returns when the last thread ends, in units of cost.
std::size_t plan(std::span<const Unit> units, std::size_t parts, std::span<std::size_t> load, Piece* pieces,
                 std::size_t& n_pieces) {
    std::size_t total = 0, end = 0;
    for (const Unit& u : units) total += u.cost(u.rows);
    const std::size_t share = total / load.size();
    std::fill(load.begin(), load.end(), 0);
    n_pieces = 0;
    const auto hand_out = [&](std::size_t unit, std::size_t row0, std::size_t n) {
        std::size_t& least = *std::min_element(load.begin(), load.end());
        least += units[unit].cost(n);
        end = std::max(end, least);
        pieces[n_pieces++] = {static_cast<std::uint32_t>(unit), static_cast<std::uint32_t>(row0),
                              static_cast<std::uint32_t>(n)};
    };
    for (std::size_t i = 0; i < units.size(); ++i) {
        const std::size_t rows = units[i].rows;
        const bool fits = *std::min_element(load.begin(), load.end()) + units[i].cost(rows) <= share;
        const std::size_t n = fits ? 1 : std::min(parts, rows);
        for (std::size_t p = 0, at = 0; p < n; ++p) {
            const std::size_t size = (rows - at + n - p - 1) / (n - p);  // larger pieces first
            hand_out(i, at, size);
            at += size;
        }
    }
    return end;
}

// The plan that ends first; splitting rows has to gain a twentieth, for keys are then read twice.
std::size_t best_plan(std::span<const Unit> units, std::span<std::size_t> load, Piece* pieces) {
    std::size_t n_pieces = 0, best_parts = 1;
    std::size_t best = plan(units, 1, load, pieces, n_pieces);
    for (const std::size_t parts : {std::size_t{2}, load.size()}) {
        const std::size_t end = plan(units, parts, load, pieces, n_pieces);
        if (end + best / 20 >= best) continue;
        best = end;
        best_parts = parts;
    }
    plan(units, best_parts, load, pieces, n_pieces);
    return n_pieces;
}

// Adds a span of a row to the row's total, as the kernels do.
void merge_span(const Kernels& k, const float* acc, float max, float sum, std::size_t v_dim, float* total,
                float& total_max, float& total_sum) {
    const float both = std::max(total_max, max);
    const float old_factor = fh_exp(total_max - both), new_factor = fh_exp(max - both);
    total_sum = std::fma(sum, new_factor, total_sum * old_factor);
    k.scale(old_factor, total, v_dim);
    k.add_scaled(new_factor, acc, total, v_dim);
    total_max = both;
}

std::size_t most_pieces(std::size_t n_threads, std::size_t rows) {
    return kWave * n_threads * std::min(n_threads < 2 ? 2 : n_threads, rows);
}

}  // namespace

bool few_tiles(std::size_t n_tiles, const AttentionShape& shape, int n_threads) noexcept {
    return n_tiles > 0 && n_threads > 1 &&
           n_tiles * static_cast<std::size_t>(shape.n_kv_heads) < kFewLines * static_cast<std::size_t>(n_threads);
}

std::size_t attend_split_scratch(const AttentionShape& shape, int n_threads) noexcept {
    const auto threads = static_cast<std::size_t>(n_threads);
    const std::size_t rows = tile_rows(shape), v_dim = static_cast<std::size_t>(shape.v_dim);
    const std::size_t results = kWave * threads * rows * (v_dim + 2), totals = kFewLines * threads * rows * 2;
    return (results + totals) * sizeof(float) + kWave * threads * sizeof(Unit) +
           most_pieces(threads, rows) * sizeof(Piece) + threads * sizeof(std::size_t) + 8 * 64;
}

void attend_split(Exec& exec, const AttendCall& call, std::span<const AttendTile> tiles, const AttendWorker* workers) {
    const std::size_t mark = exec.scratch.mark();
    const std::size_t rows = tile_rows(call.shape), group = call.group();
    const auto v_dim = static_cast<std::size_t>(call.shape.v_dim),
               n_kv = static_cast<std::size_t>(call.shape.n_kv_heads);
    const auto threads = static_cast<std::size_t>(exec.threads.size());
    const std::size_t lines = tiles.size() * n_kv;

    const auto keys_of = [&](const AttendTile& tile, std::size_t row) {
        const Segment& segment = call.batch.segments[tile.segment];
        return visible_keys(call.shape, call.batch, segment, segment.first_row + tile.first + row / group);
    };
    const auto out_of = [&](std::size_t line, std::size_t row) {
        const AttendTile& tile = tiles[line / n_kv];
        const std::size_t t = call.batch.segments[tile.segment].first_row + tile.first + row / group;
        return call.out.row(t) + (line % n_kv * group + row % group) * v_dim;
    };
    std::int32_t first_key = keys_of(tiles[0], 0).first, last_key = 0;
    for (const AttendTile& tile : tiles) {
        first_key = std::min(first_key, keys_of(tile, 0).first);
        last_key = std::max(last_key, keys_of(tile, (tile.n_tokens - 1) * group).last);
    }
    const std::int32_t first_span = first_key / kKvSpan, end_span = last_key / kKvSpan + 1;
    const bool one_span = end_span - first_span == 1;  // then nothing is merged: results go where they belong
    const std::size_t wave = one_span ? 1 : kWave * threads / lines;

    auto* const units = exec.scratch.take_array<Unit>(wave * lines);
    auto* const pieces = exec.scratch.take_array<Piece>(most_pieces(threads, rows));
    const std::span<std::size_t> load{exec.scratch.take_array<std::size_t>(threads), threads};
    const std::size_t kept = one_span ? 0 : wave * lines * rows;
    float* const acc = exec.scratch.take_array<float>(kept * v_dim);  // [slot][rows][v_dim], not divided
    float* const max = exec.scratch.take_array<float>(kept);
    float* const sum = exec.scratch.take_array<float>(kept);
    float* const total_max = exec.scratch.take_array<float>(one_span ? 0 : lines * rows);
    float* const total_sum = exec.scratch.take_array<float>(one_span ? 0 : lines * rows);

    for (std::int32_t span0 = first_span; span0 < end_span; span0 += static_cast<std::int32_t>(wave)) {
        const auto spans = std::min(wave, static_cast<std::size_t>(end_span - span0));
        std::size_t n_units = 0;
        for (std::size_t slot = 0; slot < spans * lines; ++slot) {
            const AttendTile& tile = tiles[slot % lines / n_kv];
            const std::int32_t begin = (span0 + static_cast<std::int32_t>(slot / lines)) * kKvSpan;
            const std::size_t n = tile.n_tokens * group;
            const std::int32_t first = std::max(keys_of(tile, 0).first, begin);
            const std::int32_t last = std::min(keys_of(tile, n - 1).last, begin + kKvSpan - 1);
            if (first <= last)
                units[n_units++] = {static_cast<std::uint32_t>(slot % lines), static_cast<std::uint32_t>(slot), first,
                                    last, static_cast<std::uint32_t>(n)};
        }
        std::sort(units, units + n_units, [](const Unit& a, const Unit& b) { return a.cost(a.rows) > b.cost(b.rows); });
        const std::size_t n_pieces = best_plan({units, n_units}, load, pieces);
        exec.threads.run(n_pieces, [&](std::size_t index, int worker) {
            const Piece& piece = pieces[index];
            const Unit& unit = units[piece.unit];
            const AttendWorker& w = workers[worker];
            AttendTask task = attend_task(call, tiles[unit.line / n_kv], unit.line % n_kv, piece.row0, piece.n, w);
            if (!one_span) {
                const std::size_t at = unit.slot * rows + piece.row0;
                for (std::size_t r = 0; r < piece.n; ++r) {
                    w.first[r] = std::max(w.first[r], unit.first);
                    w.last[r] = std::min(w.last[r], unit.last);
                    w.out[r] = acc + (at + r) * v_dim;
                }
                task.max = max + at;
                task.sum = sum + at;
            }
            exec.kernels.attend(task);
        });
        if (one_span) break;
        for (std::size_t slot = 0; slot < spans * lines; ++slot) {
            const std::size_t line = slot % lines;
            const AttendTile& tile = tiles[line / n_kv];
            const std::int32_t begin = (span0 + static_cast<std::int32_t>(slot / lines)) * kKvSpan;
            for (std::size_t r = 0; r < tile.n_tokens * group; ++r) {
                const KeyRange keys = keys_of(tile, r);
                if (keys.first >= begin + kKvSpan || keys.last < begin) continue;  // sees no key of this span
                const std::size_t at = slot * rows + r, total = line * rows + r;
                float* const out = out_of(line, r);
                if (keys.first >= begin) {  // the row's first span
                    std::memcpy(out, acc + at * v_dim, v_dim * sizeof(float));
                    total_max[total] = max[at];
                    total_sum[total] = sum[at];
                } else {
                    merge_span(exec.kernels, acc + at * v_dim, max[at], sum[at], v_dim, out, total_max[total],
                               total_sum[total]);
                }
                if (keys.last >= begin + kKvSpan) continue;
                WithSink all{total_max[total], total_sum[total], 1.0F};
                if (call.shape.sinks != nullptr)
                    all = with_sink(all.max, all.sum, call.shape.sinks[line % n_kv * group + r % group]);
                for (std::size_t d = 0; d < v_dim; ++d) out[d] = out[d] * all.factor / all.sum;
            }
        }
    }
    exec.scratch.reset(mark);
}

}  // namespace freehold
