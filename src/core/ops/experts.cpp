// grouped_linear and combine: the products of the experts that were chosen, and their weighted sum. Forward and
// backward.
#include "freehold/ops/experts.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "freehold/ops/tape.h"

namespace freehold {
namespace {

constexpr std::size_t kMostOuts = 2;  // gate and up

// Gradients are summed by the rows of the step (NUMERICS rule 8): an expert's share of each chain, which is contiguous
// because an expert's packed rows stand in the order of the batch.
std::vector<Chain> chains_of(const Chosen& c, std::size_t expert, std::span<const Chain> chains) {
    const std::uint32_t* const begin = c.source + c.first[expert];
    const std::uint32_t* const end = c.source + c.first[expert + 1];
    std::vector<Chain> out;
    for (const Chain& chain : chains) {
        const auto from = std::lower_bound(begin, end, static_cast<std::uint32_t>(chain.begin));
        const auto to = std::lower_bound(from, end, static_cast<std::uint32_t>(chain.end));
        out.push_back({static_cast<std::size_t>(from - begin), static_cast<std::size_t>(to - begin)});
    }
    return out;
}

// What a tape keeps of the choice: the lists move with the batch's scratch, so they are copied.
struct KeptChoice {
    std::vector<std::uint32_t> first, source, packed;
    Chosen chosen;
    explicit KeptChoice(const Chosen& c)
        : first(c.first, c.first + c.n_experts + 1),
          source(c.source, c.source + c.n_packed()),
          packed(c.packed, c.packed + c.n_packed()),
          chosen(c) {
        chosen.first = first.data();
        chosen.source = source.data();
        chosen.packed = packed.data();
        chosen.expert = nullptr;
    }
};

void backward_grouped(Exec& exec, const KeptChoice& kept, const float* x, std::size_t cols, const Mat& to,
                      bool gathered, const std::vector<GroupedOut>& outs) {
    const Chosen& c = kept.chosen;
    const std::size_t packed = c.n_packed();
    float* const dx = gathered ? to.g : exec.tape->keep_zeros(packed * cols);
    for (std::size_t e = 0; e < c.n_experts; ++e) {
        const std::size_t from = c.first[e], rows = c.first[e + 1] - from;
        const std::vector<Chain> chains = chains_of(c, e, exec.tape->chains());
        for (const GroupedOut& out : outs) {
            linear_backward(exec, out.linears[e], x + from * cols, out.y.g + from * out.y.cols, rows, dx + from * cols,
                            chains);
        }
    }
    if (gathered) return;
    for_rows(exec, to.rows, cols * c.n_used, [&](std::size_t t) {
        for (std::size_t k = 0; k < c.n_used; ++k) {
            exec.kernels.add(to.g + t * cols, dx + c.packed[t * c.n_used + k] * cols, to.g + t * cols, cols);
        }
    });
}

}  // namespace

std::size_t grouped_linear_scratch(std::size_t rows, std::size_t cols, const Routing& r) noexcept {
    const auto n = static_cast<std::size_t>(r.n_experts), used = static_cast<std::size_t>(r.n_used);
    const std::size_t packed = rows * used, groups = std::min(n, packed);
    // Each group of rows starts on a line of its own.
    const std::size_t prepared = std::max(Prepared::bytes_needed(Profile::q8, packed, cols),
                                          Prepared::bytes_needed(Profile::bf16, packed, cols)) +
                                 groups * 16 * 64;
    return mat_bytes(packed, cols) + kMostOuts * (prepared + groups * (sizeof(Product) + sizeof(Prepared))) + 8 * 64;
}

void grouped_linear(Exec& exec, const Chosen& c, const Mat& x, bool gathered, std::span<const GroupedOut> outs) {
    const std::size_t packed = c.n_packed(), cols = x.cols;
    Tape* const tape = exec.tape;
    const std::size_t mark = exec.scratch.mark();
    const auto source_of = [&](std::size_t p) { return x.v + (gathered ? p : c.source[p]) * cols; };

    // F32 products read rows where they lie, and a tape keeps them: then they are copied together first.
    bool copied = tape != nullptr;
    for (const GroupedOut& out : outs) copied = copied || (!gathered && out.linears[0].w.profile() == Profile::f32);
    const float* rows = x.v;
    if (copied) {
        float* const to = tape != nullptr ? tape->keep(packed * cols) : exec.scratch.take_array<float>(packed * cols);
        for_rows(exec, packed, cols, [&](std::size_t p) { std::memcpy(to + p * cols, source_of(p), cols * 4); });
        rows = to;
    }

    std::size_t n_groups = 0;
    for (std::size_t e = 0; e < c.n_experts; ++e) n_groups += c.first[e + 1] > c.first[e] ? 1 : 0;
    auto* const products = exec.scratch.take_array<Product>(outs.size() * n_groups);
    auto* const prepared = exec.scratch.take_array<Prepared>(outs.size() * n_groups);
    std::size_t n = 0, n_prepared = 0;
    for (std::size_t e = 0; e < c.n_experts; ++e) {
        const std::size_t from = c.first[e], count = c.first[e + 1] - from;
        if (count == 0) continue;
        const Prepared* of[3] = {};
        for (const GroupedOut& out : outs) {
            const Linear& linear = out.linears[e];
            const Profile profile = linear.w.profile();
            const Prepared*& shared = of[static_cast<std::size_t>(profile)];
            if (shared == nullptr) {
                const std::size_t bytes = Prepared::bytes_needed(profile, count, cols);
                shared = new (prepared + n_prepared++)
                    Prepared(profile, copied || gathered ? rows + from * cols : x.v, cols, count, cols,
                             bytes == 0 ? nullptr : exec.scratch.take(bytes));
                if (profile != Profile::f32) {
                    for_rows(exec, count, cols * 2, [&](std::size_t t) {
                        shared->run_row(exec.kernels, t, copied ? rows + (from + t) * cols : source_of(from + t));
                    });
                }
            }
            new (products + n++)
                Product{&linear.w, shared, out.y.v + from * out.y.cols, out.y.cols, linear.bias_data(), false};
        }
    }
    multiply(exec.kernels, exec.threads, {products, n});
    if (tape != nullptr) {
        tape->push([kept = std::make_shared<KeptChoice>(c), rows, cols, x, gathered,
                    list = std::vector<GroupedOut>(outs.begin(), outs.end())](Exec& e) {
            backward_grouped(e, *kept, rows, cols, x, gathered, list);
        });
    }
    exec.scratch.reset(mark);
}

std::size_t combine_scratch(std::size_t rows, std::size_t d) noexcept {
    return mat_bytes(rows, d) + 64;
}

void combine(Exec& exec, const Chosen& c, const Mat& y, const SharedOut& shared, const Mat& x, const Look& look) {
    const std::size_t rows = x.rows, d = x.cols;
    const std::size_t mark = exec.scratch.mark();
    float* const sums = exec.scratch.take_array<float>(rows * d);
    for_rows(exec, rows, d * (c.n_used + 2), [&](std::size_t t) {
        float* const sum = sums + t * d;
        std::fill_n(sum, d, 0.0F);
        for (std::size_t k = 0; k < c.n_used; ++k)
            exec.kernels.add_scaled(c.weight.row(t)[k], y.row(c.packed[t * c.n_used + k]), sum, d);
        if (shared.y.v != nullptr)
            exec.kernels.add_scaled(shared.gate.v == nullptr ? 1.0F : shared.gate.v[t], shared.y.row(t), sum, d);
    });
    if (look.wanted()) look.probes->visit(look.at, sums, d, d);
    for_rows(exec, rows, d, [&](std::size_t t) { exec.kernels.add(x.row(t), sums + t * d, x.row(t), d); });
    exec.scratch.reset(mark);
    if (exec.tape == nullptr) return;
    exec.tape->push([kept = std::make_shared<KeptChoice>(c), y, shared, x](Exec& e) {
        const Chosen& was = kept->chosen;
        const std::size_t width = x.cols;
        const auto dot = [width](const float* a, const float* b) {
            float sum = 0;
            for (std::size_t i = 0; i < width; ++i) sum += a[i] * b[i];
            return sum;
        };
        for_rows(e, x.rows, width * 2 * was.n_used, [&](std::size_t t) {
            const float* const dx = x.g + t * width;
            for (std::size_t k = 0; k < was.n_used; ++k) {
                const std::size_t p = was.packed[t * was.n_used + k];
                was.weight.g[t * was.n_used + k] += dot(dx, y.row(p));
                e.kernels.add_scaled(was.weight.row(t)[k], dx, y.g + p * width, width);
            }
            if (shared.y.v == nullptr) return;
            if (shared.gate.v != nullptr) shared.gate.g[t] += dot(dx, shared.y.row(t));
            e.kernels.add_scaled(shared.gate.v == nullptr ? 1.0F : shared.gate.v[t], dx, shared.y.g + t * width, width);
        });
    });
}

void norm_rows(Exec& exec, const Norm& norm, const Mat& x, const Mat& out) {
    const std::size_t n = x.cols;
    Tape* const tape = exec.tape;
    const float* const input = tape != nullptr ? tape->keep_copy(x.v, x.size()) : x.v;
    float* const stats = tape != nullptr ? tape->keep(x.rows * 2) : nullptr;
    for_rows(exec, x.rows, n * 4, [&](std::size_t t) {
        exec.kernels.norm_row(norm.kind, input + t * n, norm.weight_data(), norm.bias_data(), norm.eps, n, out.row(t),
                              stats == nullptr ? nullptr : stats + t * 2);
    });
    if (tape == nullptr) return;
    tape->push([norm, input, stats, x, out](Exec& e) {
        const std::size_t width = x.cols;
        for_rows(e, x.rows, width * 4, [&](std::size_t t) {
            norm_row_backward(norm.kind, input + t * width, norm.weight_data(), stats + t * 2, width, out.g + t * width,
                              x.g + t * width);
        });
        norm_param_backward(e, norm, input, stats, out.g, width, 1);
    });
}

void sigmoid(Exec& exec, const Mat& m) {
    for (std::size_t i = 0; i < m.size(); ++i) m.v[i] = 1.0F / (1.0F + fh_exp(-m.v[i]));
    if (exec.tape == nullptr) return;
    exec.tape->push([m](Exec&) {
        for (std::size_t i = 0; i < m.size(); ++i) m.g[i] *= m.v[i] * (1.0F - m.v[i]);
    });
}

}  // namespace freehold
