// embed: rows of the table, scaled, with learned positions and token types added, normed or not. Forward and backward.
#include <algorithm>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/ops/ends.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

// Rows before the norm and its numbers, where there is one.
struct BeforeNorm {
    const float* rows = nullptr;
    const float* stats = nullptr;
};

void backward(Exec& exec, const Embedding& e, std::span<const Token> tokens, std::span<const std::int32_t> positions,
              const Mat& x, const BeforeNorm& before) {
    Gradients* const grads = exec.tape->gradients();
    if (grads == nullptr) return;
    const std::size_t d = x.cols;
    if (e.norm != nullptr) {
        norm_param_backward(exec, *e.norm, before.rows, before.stats, x.g, d, 1);
        const std::size_t mark = exec.scratch.mark();
        float* const dx = exec.scratch.take_array<float>(x.size());
        std::fill_n(dx, x.size(), 0.0F);
        for_rows(exec, x.rows, d * 4, [&](std::size_t t) {
            norm_row_backward(e.norm->kind, before.rows + t * d, e.norm->weight_data(), before.stats + t * 2, d,
                              x.g + t * d, dx + t * d);
        });
        std::copy_n(dx, x.size(), x.g);
        exec.scratch.reset(mark);
    }
    for (const Chain& c : exec.tape->chains()) {
        if (e.table_id != kFrozen) {
            float* const dw = grads->leaf(e.table_id);
            std::fill_n(dw, grads->size(e.table_id), 0.0F);
            for (std::size_t t = c.begin; t < c.end; ++t) {
                exec.kernels.add_scaled(e.scale, x.g + t * d, dw + static_cast<std::size_t>(tokens[t]) * d, d);
            }
            grads->push(exec, e.table_id);
        }
        if (e.positions != nullptr && e.positions_id != kFrozen) {
            float* const dw = grads->leaf(e.positions_id);
            std::fill_n(dw, grads->size(e.positions_id), 0.0F);
            for (std::size_t t = c.begin; t < c.end; ++t) {
                float* const row = dw + static_cast<std::size_t>(positions[t] + e.position_offset) * d;
                exec.kernels.add(row, x.g + t * d, row, d);
            }
            grads->push(exec, e.positions_id);
        }
    }
}

}  // namespace

void embed(Exec& exec, const Embedding& e, std::span<const Token> tokens, std::span<const std::int32_t> positions,
           const Mat& x, std::span<const std::uint8_t> types) {
    if (exec.tape != nullptr && e.types != nullptr)
        throw Error(ErrorKind::internal, "an encoder's embedding was asked for under a tape, which does not record it");
    const std::size_t d = x.cols;
    const std::size_t mark = exec.scratch.mark();
    float* const raw = exec.tape != nullptr && e.norm != nullptr ? exec.tape->keep(x.size()) : nullptr;
    float* const stats = raw != nullptr ? exec.tape->keep(x.rows * 2) : nullptr;
    float* const place = e.positions == nullptr ? nullptr : exec.scratch.take_array<float>(x.rows * d);
    for_rows(exec, x.rows, d * 2, [&](std::size_t t) {
        float* const row = x.row(t);
        if (e.table != nullptr) e.table->row_f32(tokens[t], row);
        if (e.scale != 1.0F) exec.kernels.scale(e.scale, row, d);
        if (e.positions != nullptr) {
            e.positions->row_f32(positions[t] + e.position_offset, place + t * d);
            exec.kernels.add(row, place + t * d, row, d);
        }
        if (e.types != nullptr) {
            const std::size_t type = types.empty() ? 0 : types[t];
            exec.kernels.add(row, e.types + type * d, row, d);
        }
        if (e.norm != nullptr) {
            if (raw != nullptr) std::copy_n(row, d, raw + t * d);
            exec.kernels.norm_row(e.norm->kind, row, e.norm->weight_data(), e.norm->bias_data(), e.norm->eps, d, row,
                                  stats == nullptr ? nullptr : stats + t * 2);
        }
    });
    exec.scratch.reset(mark);
    if (exec.tape != nullptr) {
        exec.tape->push([e, x, before = BeforeNorm{raw, stats}, tok = std::vector<Token>(tokens.begin(), tokens.end()),
                         pos = std::vector<std::int32_t>(positions.begin(), positions.end())](Exec& ex) {
            backward(ex, e, tok, pos, x, before);
        });
    }
}

}  // namespace freehold
