// Adapters of low rank: two thin products for each range of rows that shares one, and their backward.
#include "freehold/ops/adapter.h"

#include <algorithm>
#include <array>
#include <optional>

#include "freehold/base/error.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

// What is worked on together; more goes in several turns, which changes no bit: a row's sums are its own.
constexpr std::size_t kItems = 48;
constexpr std::size_t kLowFloats = std::size_t{1} << 16;

struct Item {
    const LowRank* pair = nullptr;
    const float* x = nullptr;  // first row
    float* y = nullptr;
    std::size_t rows = 0, cols = 0, ldy = 0;
    float* low = nullptr;
};

class Turn {
 public:
    explicit Turn(Exec& exec) : exec_(exec), mark_(exec.scratch.mark()) {}

    // Takes as many of `rows` as there is room for and says how many.
    std::size_t take(Item item, std::size_t rows) {
        const std::size_t rank = item.pair->rank();
        const std::size_t fit = exec_.tape != nullptr ? rows : std::min(rows, (kLowFloats - used_) / rank);
        if (n_ == kItems || fit == 0) return 0;
        item.rows = fit;
        if (exec_.tape != nullptr) {
            item.low = exec_.tape->keep(fit * rank);
        } else {
            if (low_ == nullptr) low_ = exec_.scratch.take_array<float>(kLowFloats);
            item.low = low_ + used_;
            used_ += fit * rank;
        }
        items_[n_++] = item;
        return fit;
    }

    void run() {
        if (n_ == 0) return;
        std::array<std::optional<Prepared>, kItems> prepared;
        std::array<Product, kItems> products;
        for (std::size_t i = 0; i < n_; ++i) {
            const Item& it = items_[i];
            prepared[i].emplace(Profile::f32, it.x, it.cols, it.rows, it.cols, nullptr);
            products[i] = {&it.pair->a, &*prepared[i], it.low, it.pair->rank(), nullptr, false};
        }
        multiply(exec_.kernels, exec_.threads, std::span(products).first(n_));
        for (std::size_t i = 0; i < n_; ++i) {
            const Item& it = items_[i];
            const std::size_t rank = it.pair->rank();
            for (std::size_t j = 0; j < it.rows * rank; ++j) it.low[j] *= it.pair->scale;
            prepared[i].emplace(Profile::f32, it.low, rank, it.rows, rank, nullptr);
            products[i] = {&it.pair->b, &*prepared[i], it.y, it.ldy, nullptr, true};
        }
        multiply(exec_.kernels, exec_.threads, std::span(products).first(n_));
        n_ = used_ = 0;
    }

    [[nodiscard]] const float* last_low() const { return items_[n_ - 1].low; }
    ~Turn() { exec_.scratch.reset(mark_); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

 private:
    Exec& exec_;
    std::size_t mark_, n_ = 0, used_ = 0;
    float* low_ = nullptr;
    std::array<Item, kItems> items_;
};

// A and B as F32 rows: as they are where they are trained, expanded where a file keeps them shorter.
Tensor as_f32(const Weight& w) {
    return w.tensor().dtype() == DType::F32 ? w.tensor() : w.tensor().to_f32();
}

}  // namespace

std::uint64_t Adapter::n_params() const noexcept {
    std::uint64_t total = 0;
    for (const LowRank& p : pairs_)
        total += static_cast<std::uint64_t>(p.a.n_out() * p.a.n_in() + p.b.n_out() * p.b.n_in());
    return total;
}

std::uint64_t Adapter::bytes() const noexcept {
    std::uint64_t total = 0;
    for (const LowRank& p : pairs_) total += p.a.panel_bytes() + p.b.panel_bytes();
    return total;
}

bool Adapters::any(const Batch& batch) noexcept {
    return std::any_of(batch.segments.begin(), batch.segments.end(),
                       [](const Segment& s) { return s.seq.adapter != nullptr; });
}

bool Adapters::touches(const Linear& linear) const noexcept {
    return std::any_of(batch_.segments.begin(), batch_.segments.end(), [&](const Segment& s) {
        return s.seq.adapter != nullptr && s.seq.adapter->at(linear.place) != nullptr;
    });
}

std::vector<AdaptedRows> add_adapters(Exec& exec, const Adapters& adapters, const float* x, std::size_t cols,
                                      std::span<const LinearOut> outs) {
    std::vector<AdaptedRows> kept;
    const std::span<const Segment> segments = adapters.batch().segments;
    Turn turn(exec);
    for (const LinearOut& out : outs) {
        for (std::size_t i = 0; i < segments.size();) {
            const Adapter* const adapter = segments[i].seq.adapter;
            std::size_t from = segments[i].first_row, to = from;
            // Neighbours with the same adapter are one range.
            for (; i < segments.size() && segments[i].seq.adapter == adapter; ++i) to += segments[i].n_rows;
            const LowRank* const pair = adapter == nullptr ? nullptr : adapter->at(out.linear->place);
            if (pair == nullptr) continue;
            while (from < to) {
                const std::size_t took = turn.take(
                    {pair, x + from * cols, out.y.v + from * out.y.cols, 0, cols, out.y.cols, nullptr}, to - from);
                if (took == 0) {
                    turn.run();
                    continue;
                }
                if (exec.tape != nullptr) kept.push_back({pair, from, took, turn.last_low()});
                from += took;
            }
        }
    }
    turn.run();
    return kept;
}

std::size_t adapter_scratch() noexcept {
    return kLowFloats * sizeof(float) + 64;
}

void add_adapters_backward(Exec& exec, const AdaptedRows& rows, const float* x, const float* dy, float* dx) {
    const LowRank& pair = *rows.pair;
    const std::size_t rank = pair.rank(), n = static_cast<std::size_t>(pair.b.n_out()),
                      k = static_cast<std::size_t>(pair.a.n_in());
    const float* const dy0 = dy + rows.first * n;
    const float* const x0 = x + rows.first * k;
    // With u = x Aᵀ and low = scale * u: d low = dy B, du = scale * d low.
    float* const du = exec.tape->keep(rows.n * rank);
    const Tensor b = as_f32(pair.b);
    multiply_transposed(exec.kernels, exec.threads, dy0, rows.n, n, b.f32().data(), rank, du, false);
    for (std::size_t j = 0; j < rows.n * rank; ++j) du[j] *= pair.scale;
    if (dx != nullptr) {
        const Tensor a = as_f32(pair.a);
        multiply_transposed(exec.kernels, exec.threads, du, rows.n, rank, a.f32().data(), k, dx + rows.first * k, true);
    }
    Gradients* const grads = exec.tape->gradients();
    if (grads == nullptr) return;
    for (const Chain& c : exec.tape->chains()) {
        const std::size_t begin = std::max(c.begin, rows.first), end = std::min(c.end, rows.first + rows.n);
        if (begin >= end) continue;
        const std::size_t at = begin - rows.first, count = end - begin;
        if (pair.b_id != kFrozen) {
            outer_product(exec.kernels, exec.threads, dy0 + at * n, count, n, rows.low + at * rank, rank,
                          grads->leaf(pair.b_id));
            grads->push(exec, pair.b_id);
        }
        if (pair.a_id != kFrozen) {
            outer_product(exec.kernels, exec.threads, du + at * rank, count, rank, x0 + at * k, k,
                          grads->leaf(pair.a_id));
            grads->push(exec, pair.a_id);
        }
    }
}

}  // namespace freehold
