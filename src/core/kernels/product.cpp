// Rows of activations times weights: preparing the rows once, and splitting all products of a call over the threads.
// A split never cuts a chain over k, so threads and blocks cannot change a bit.
#include <algorithm>
#include <cstring>
#include <vector>

#include "freehold/kernels/weight.h"

namespace freehold {
namespace {

constexpr std::size_t kAlign = 64;
constexpr std::size_t kActivationBudget =
    256 * 1024;                             // bytes of prepared rows that should stay in the second-level cache
constexpr std::size_t kWideRows = 12;       // from so many rows on rows are widened once, where a table wants it
constexpr std::size_t kRowsPerRead = 8;     // rows whose arithmetic takes about as long as reading a panel
constexpr std::size_t kEpilogueRows = 128;  // rows that wait in a small buffer for bias and addition

std::size_t aligned(std::size_t bytes) noexcept {
    return (bytes + kAlign - 1) / kAlign * kAlign;
}

struct Q8Sizes {
    std::size_t padded_k, codes, per_block;
};

Q8Sizes q8_sizes(std::size_t T, std::size_t K) noexcept {
    const std::size_t blocks = (K + kQBlock - 1) / kQBlock;
    return {blocks * kQBlock, aligned(T * blocks * kQBlock), aligned(T * blocks * 4)};
}

std::size_t row_bytes(const Prepared& x) noexcept {
    switch (x.profile) {
        case Profile::f32:
            return x.K * 4;
        case Profile::bf16:
            return x.bf16_ld * (x.wide != nullptr ? 4 : 2);
        case Profile::q8:
            break;
    }
    return (x.q8.wide != nullptr ? 2 : 1) * x.q8.padded_k + x.q8.padded_k / 2;
}

// Panels of a weight whose panels are not kept are built here; grows to the largest panel and stays.
std::byte* panel_buffer(std::size_t bytes) {
    thread_local std::vector<std::byte> memory;
    if (memory.size() < bytes + kAlign) memory.resize(bytes + kAlign);
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    return memory.data() + (aligned(address) - address);
}

void panel_product(const Kernels& k, const Weight& w, const Prepared& x, const std::byte* panel, std::size_t t0,
                   std::size_t T, float* y, std::size_t ldy, int n_valid) noexcept {
    switch (w.profile()) {
        case Profile::f32:
            k.panel_f32(x.x + t0 * x.ldx, x.ldx, 1, T, reinterpret_cast<const float*>(panel), kPanelRows, x.K, y, ldy,
                        n_valid, false);
            return;
        case Profile::bf16:
            if (x.wide != nullptr && k.panel_bf16_wide != nullptr) {
                k.panel_bf16_wide(x.wide + t0 * x.bf16_ld, x.bf16_ld, T, reinterpret_cast<const std::uint16_t*>(panel),
                                  (x.K + 1) / 2 * 2, y, ldy, n_valid);
                return;
            }
            k.panel_bf16(x.bf16 + t0 * x.bf16_ld, x.bf16_ld, T, reinterpret_cast<const std::uint16_t*>(panel),
                         (x.K + 1) / 2 * 2, y, ldy, n_valid);
            return;
        case Profile::q8:
            k.panel_q8(x.q8, t0, T, w.q_form(), panel, y, ldy, n_valid);
            return;
    }
}

// What follows the chain of one row: y = chain + bias, or y = y + (chain + bias). A whole panel has a fixed length,
// which the compiler turns into vectors.
template <int N>
void finish_row(const float* chain, const float* bias, bool add_to_y, float* y) noexcept {
    float v[N];
    for (int j = 0; j < N; ++j) v[j] = chain[j];
    if (bias != nullptr)
        for (int j = 0; j < N; ++j) v[j] += bias[j];
    if (add_to_y)
        for (int j = 0; j < N; ++j) v[j] = y[j] + v[j];
    for (int j = 0; j < N; ++j) y[j] = v[j];
}

void finish_part(const float* chain, const float* bias, bool add_to_y, int n, float* y) noexcept {
    for (int j = 0; j < n; ++j) finish_row<1>(chain + j, bias != nullptr ? bias + j : nullptr, add_to_y, y + j);
}

// One panel, rows [t0, t1) of one product, with bias and addition.
void run_panel(const Kernels& k, const Product& p, std::int64_t panel, const std::byte* data, std::size_t t0,
               std::size_t t1) noexcept {
    const std::int64_t n0 = panel * kPanelRows;
    const int n_valid = static_cast<int>(std::min<std::int64_t>(kPanelRows, p.w->n_out() - n0));
    if (p.bias == nullptr && !p.add_to_y) {
        panel_product(k, *p.w, *p.x, data, t0, t1 - t0, p.y + t0 * p.ldy + n0, p.ldy, n_valid);
        return;
    }
    const float* bias = p.bias != nullptr ? p.bias + n0 : nullptr;
    alignas(kAlign) float chain[kEpilogueRows * kPanelRows];
    for (std::size_t from = t0; from < t1; from += kEpilogueRows) {
        const std::size_t n = std::min(kEpilogueRows, t1 - from);
        panel_product(k, *p.w, *p.x, data, from, n, chain, kPanelRows, kPanelRows);
        for (std::size_t t = 0; t < n; ++t) {
            float* y = p.y + (from + t) * p.ldy + n0;
            if (n_valid == kPanelRows)
                finish_row<kPanelRows>(chain + t * kPanelRows, bias, p.add_to_y, y);
            else
                finish_part(chain + t * kPanelRows, bias, p.add_to_y, n_valid, y);
        }
    }
}

}  // namespace

std::size_t Prepared::bytes_needed(Profile profile, std::size_t T, std::size_t K) noexcept {
    switch (profile) {
        case Profile::f32:
            return 0;
        case Profile::bf16: {
            const std::size_t numbers = T * ((K + 1) / 2 * 2);
            return aligned(numbers * 2) + (T >= kWideRows ? aligned(numbers * 4) : 0) + kAlign;
        }
        case Profile::q8:
            break;
    }
    const Q8Sizes s = q8_sizes(T, K);
    return s.codes + 4 * s.per_block + (T >= kWideRows ? 2 * T * (s.padded_k + kQBlock) : 0) + kAlign;
}

Prepared::Prepared(Profile profile_, const float* x_, std::size_t ldx_, std::size_t T_, std::size_t K_,
                   std::byte* buffer) noexcept
    : profile(profile_), x(x_), ldx(ldx_), T(T_), K(K_) {
    const auto address = reinterpret_cast<std::uintptr_t>(buffer);
    std::byte* at = buffer + (aligned(address) - address);
    if (profile == Profile::bf16) {
        bf16 = reinterpret_cast<std::uint16_t*>(at);
        bf16_ld = (K + 1) / 2 * 2;
        if (T >= kWideRows) wide = reinterpret_cast<float*>(at + aligned(T * bf16_ld * 2));
    } else if (profile == Profile::q8) {
        const Q8Sizes s = q8_sizes(T, K);
        q8.padded_k = s.padded_k;
        q8.codes = reinterpret_cast<std::int8_t*>(at);
        at += s.codes;
        q8.scale = reinterpret_cast<float*>(at);
        at += s.per_block;
        q8.sum = reinterpret_cast<std::int32_t*>(at);
        at += s.per_block;
        q8.half = reinterpret_cast<std::int16_t*>(at);
        at += s.per_block;
        q8.fsum = reinterpret_cast<float*>(at);
        at += s.per_block;
        if (T >= kWideRows) q8.wide = reinterpret_cast<std::int16_t*>(at);
    }
}

void Prepared::run_row(const Kernels& k, std::size_t t, const float* row) const noexcept {
    if (profile == Profile::q8) {
        k.quantize_row(row, K, q8, t);
        if (q8.wide != nullptr && k.wants_wide_q8) {
            const std::int8_t* const codes = q8.codes + t * q8.padded_k;
            std::int16_t* const out = q8.wide + t * q8.wide_ld();
            for (std::size_t i = 0; i < q8.padded_k; ++i) out[i] = codes[i];
        }
    } else if (profile == Profile::bf16) {
        std::uint16_t* const rounded = bf16 + t * bf16_ld;
        k.to_bf16(row, rounded, K);
        if (K != bf16_ld) rounded[K] = 0;
        if (wide != nullptr && k.panel_bf16_wide != nullptr) {
            float* const out = wide + t * bf16_ld;
            for (std::size_t i = 0; i < bf16_ld; i += 2) {
                out[i] = bf16_to_f32(rounded[i + 1]);
                out[i + 1] = bf16_to_f32(rounded[i]);
            }
        }
    }
}

void Prepared::run(const Kernels& k, ThreadPool& threads) const {
    if (profile == Profile::f32) return;
    constexpr std::size_t kRowsPerTask = 16;
    if (T <= kRowsPerTask) {
        for (std::size_t t = 0; t < T; ++t) run_row(k, t);
        return;
    }
    threads.run((T + kRowsPerTask - 1) / kRowsPerTask, [&](std::size_t task, int) {
        for (std::size_t t = task * kRowsPerTask; t < std::min(T, (task + 1) * kRowsPerTask); ++t) run_row(k, t);
    });
}

void multiply(const Kernels& k, ThreadPool& threads, std::span<const Product> products) {
    // What a panel costs: its bytes once, and arithmetic with each row (products of experts have different numbers).
    const auto cost = [](const Product& p) { return p.w->panel_stride_ * (kRowsPerRead + p.x->T); };
    std::size_t total_cost = 0, most_rows = 0, widest = 1;
    for (const Product& p : products) {
        total_cost += cost(p) * static_cast<std::size_t>(p.w->n_panels());
        most_rows = std::max(most_rows, p.x->T);
        widest = std::max(widest, row_bytes(*p.x));
    }
    if (total_cost == 0 || most_rows == 0) return;
    // Few rows: one task a thread, equal cost. Many: blocks of rows that stay in cache, several ranges of panels each.
    const std::size_t block_rows = std::max<std::size_t>(64, kActivationBudget / widest / 16 * 16);
    const std::size_t n_blocks = (most_rows + block_rows - 1) / block_rows;
    const auto n_threads = static_cast<std::size_t>(threads.size());
    const std::size_t n_ranges = n_threads == 1 ? 1 : (most_rows <= 16 ? n_threads : 4 * n_threads);
    threads.run(n_blocks * n_ranges, [&](std::size_t task, int) {
        const std::size_t t0 = task / n_ranges * block_rows;
        const std::size_t range = task % n_ranges;
        const std::size_t from = total_cost / n_ranges * range;
        const std::size_t to = range + 1 == n_ranges ? total_cost : total_cost / n_ranges * (range + 1);
        std::size_t at = 0;  // a panel belongs to the range in which its cost begins
        for (const Product& p : products) {
            const Weight& w = *p.w;
            const std::size_t stride = w.panel_stride_, each = cost(p),
                              size = each * static_cast<std::size_t>(w.n_panels());
            const std::size_t t1 = std::min(p.x->T, t0 + block_rows);
            if (at + size > from && at < to && t0 < t1) {
                std::size_t panel = from <= at ? 0 : (from - at + each - 1) / each;
                for (; panel < static_cast<std::size_t>(w.n_panels()) && at + panel * each < to; ++panel) {
                    const std::byte* data = w.panels_.get() + panel * stride;
                    if (!w.panels_) {
                        std::byte* buffer = panel_buffer(stride);
                        w.build_panel(static_cast<std::int64_t>(panel), buffer);
                        data = buffer;
                    }
                    run_panel(k, p, static_cast<std::int64_t>(panel), data, t0, t1);
                }
            }
            at += size;
        }
    });
}

}  // namespace freehold
