// attend: attention of the batch's rows over the pages, in tiles of query rows; and the pattern for who asks for it.
#include <algorithm>

#include "attend_tiles.h"
#include "freehold/ops/attention.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

std::size_t worker_bytes(const AttentionShape& s) {
    const std::size_t n = tile_rows(s);
    return n * (3 * sizeof(void*) + 6 * 4) + 9 * 64 +
           attend_scratch_bytes(static_cast<int>(n), s.head_dim, s.v_dim, s.v_in_k) + 64;
}

AttendWorker take_worker(Exec& exec, const AttentionShape& s) {
    const std::size_t n = tile_rows(s);
    return {exec.scratch.take_array<const float*>(n),
            exec.scratch.take_array<float*>(n),
            exec.scratch.take_array<std::int32_t>(n),
            exec.scratch.take_array<std::int32_t>(n),
            exec.scratch.take_array<float>(n),
            exec.scratch.take_array<float>(n),
            exec.scratch.take_array<float>(n),
            exec.scratch.take_array<std::int32_t>(n),
            exec.scratch.take_array<const float*>(n),
            exec.scratch.take(attend_scratch_bytes(static_cast<int>(n), s.head_dim, s.v_dim, s.v_in_k))};
}

}  // namespace

KeyRange visible_keys(const AttentionShape& shape, const Batch& batch, const Segment& segment,
                      std::size_t row) noexcept {
    if (shape.cross) return {0, static_cast<std::int32_t>(segment.seq.n_cross) - 1};
    const std::int32_t position = batch.positions[row];
    const std::int32_t last = shape.causal ? position : batch.positions[segment.first_row + segment.n_rows - 1];
    return {shape.window > 0 ? std::max(0, position - shape.window + 1) : 0, last};
}

std::size_t tile_rows(const AttentionShape& shape) noexcept {
    return std::max(kTileRows, static_cast<std::size_t>(shape.n_heads / shape.n_kv_heads));
}

AttendTask attend_task(const AttendCall& call, const AttendTile& tile, std::size_t kv_head, std::size_t row0,
                       std::size_t n_rows, const AttendWorker& worker) {
    const AttentionShape& shape = call.shape;
    const Segment& segment = call.batch.segments[tile.segment];
    const std::size_t group = call.group();
    for (std::size_t i = 0; i < n_rows; ++i) {
        const std::size_t t = segment.first_row + tile.first + (row0 + i) / group;
        const std::size_t head = kv_head * group + (row0 + i) % group;
        const KeyRange keys = visible_keys(shape, call.batch, segment, t);
        worker.q[i] = call.q.row(t) + head * static_cast<std::size_t>(shape.head_dim);
        worker.out[i] = call.out.row(t) + head * static_cast<std::size_t>(shape.v_dim);
        worker.first[i] = keys.first;
        worker.last[i] = keys.last;
        if (shape.slopes != nullptr) {
            worker.slope[i] = shape.slopes[head];
            worker.at[i] = call.batch.positions[t];
        }
        if (shape.sinks != nullptr) worker.sink[i] = shape.sinks[head];
        if (shape.relative != nullptr) {
            worker.bias[i] = shape.relative->of(head);
            worker.at[i] = call.batch.positions[t];
        }
    }
    AttendTask task;
    const KvGroup& kv = call.place.of(*segment.seq.pages);
    task.pages = segment.seq.pages->pages[call.place.group].data();
    task.k_offset = kv.k_offset(call.place.layer_in_group, static_cast<int>(kv_head));
    task.v_in_k = shape.v_in_k;
    if (!shape.v_in_k) task.v_offset = kv.v_offset(call.place.layer_in_group, static_cast<int>(kv_head));
    task.type = kv.type;
    task.head_dim = shape.head_dim;
    task.v_dim = shape.v_dim;
    task.n_rows = static_cast<int>(n_rows);
    task.q = worker.q;
    task.out = worker.out;
    task.first = worker.first;
    task.last = worker.last;
    task.scale = shape.scale;
    task.softcap = shape.softcap;
    if (shape.slopes != nullptr) {
        task.slope = worker.slope;
        task.at = worker.at;
    }
    if (shape.sinks != nullptr) task.sink = worker.sink;
    if (shape.relative != nullptr) {
        task.bias = worker.bias;
        task.bias_reach = shape.relative->reach;
        task.at = worker.at;
    }
    task.scratch = worker.scratch;
    return task;
}

std::size_t attend_scratch(std::size_t rows, const AttentionShape& shape, int n_threads) noexcept {
    return rows * sizeof(AttendTile) + 64 +
           static_cast<std::size_t>(n_threads) * (worker_bytes(shape) + sizeof(AttendWorker)) + 64 +
           attend_split_scratch(shape, n_threads);
}

void attend(Exec& exec, const Batch& batch, const AttentionShape& shape, const KvPlace& place, const Mat& q,
            const Mat& k, const Mat& v, const Mat& out, const Look& pattern) {
    const std::size_t mark = exec.scratch.mark();
    const auto group = static_cast<std::size_t>(shape.n_heads / shape.n_kv_heads);
    const auto n_kv = static_cast<std::size_t>(shape.n_kv_heads), n_heads = static_cast<std::size_t>(shape.n_heads);
    const std::size_t tokens_per_tile = std::max<std::size_t>(1, kTileRows / group);

    AttendTile* const tiles = exec.scratch.take_array<AttendTile>(q.rows);
    std::size_t n_tiles = 0;
    for (std::size_t i = 0; i < batch.segments.size(); ++i) {
        const Segment& s = batch.segments[i];
        for (std::size_t at = 0; at < s.n_rows; at += tokens_per_tile) {
            tiles[n_tiles++] = {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(at),
                                static_cast<std::uint32_t>(std::min<std::size_t>(tokens_per_tile, s.n_rows - at))};
        }
    }
    auto* const workers = exec.scratch.take_array<AttendWorker>(static_cast<std::size_t>(exec.threads.size()));
    for (int w = 0; w < exec.threads.size(); ++w) workers[w] = take_worker(exec, shape);
    const AttendCall call{batch, shape, place, q, out};
    if (exec.tape == nullptr && few_tiles(n_tiles, shape, exec.threads.size())) {
        attend_split(exec, call, {tiles, n_tiles}, workers);
        exec.scratch.reset(mark);
        if (pattern.wanted()) show_pattern(batch, shape, place, q, out, pattern);
        return;
    }
    float* const lse = exec.tape == nullptr ? nullptr : exec.tape->keep(q.rows * n_heads);

    exec.threads.run(n_tiles * n_kv, [&](std::size_t task_index, int worker) {
        // The last tiles of a prompt have most keys to walk over: hand them out first.
        const AttendTile& tile = tiles[n_tiles - 1 - task_index / n_kv];
        const std::size_t kv_head = task_index % n_kv, n = tile.n_tokens * group;
        const Segment& segment = batch.segments[tile.segment];
        const AttendWorker& m = workers[worker];
        AttendTask task = attend_task(call, tile, kv_head, 0, n, m);
        task.logsumexp = lse == nullptr ? nullptr : m.lse;
        exec.kernels.attend(task);
        if (lse != nullptr) {
            const std::size_t t0 = segment.first_row + tile.first;
            for (std::size_t i = 0; i < n; ++i)
                lse[(t0 + i / group) * n_heads + kv_head * group + i % group] = m.lse[i];
        }
    });
    exec.scratch.reset(mark);
    if (pattern.wanted()) show_pattern(batch, shape, place, q, out, pattern);
    if (exec.tape != nullptr) push_attend_backward(exec, batch, shape, place, q, k, v, out, lse);
}

}  // namespace freehold
