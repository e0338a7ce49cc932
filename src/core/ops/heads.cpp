// head_linear and copy_heads: what latent attention does to each head by itself. Forward and backward.
#include "freehold/ops/heads.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "freehold/ops/tape.h"

namespace freehold {
namespace {

// Every head in turn through the way back of a linear, whose rows lie together.
void backward(Exec& exec, std::span<const Linear> linears, const HeadRows& x, const HeadRows& y) {
    const std::size_t rows = x.m.rows, k = linears[0].n_in(), n = linears[0].n_out();
    const std::size_t mark = exec.scratch.mark();
    float* const xs = exec.scratch.take_array<float>(rows * k);
    float* const dx = exec.scratch.take_array<float>(rows * k);
    float* const dy = exec.scratch.take_array<float>(rows * n);
    for (std::size_t h = 0; h < linears.size(); ++h) {
        const std::size_t x_at = h * x.stride + x.offset, y_at = h * y.stride + y.offset;
        for (std::size_t t = 0; t < rows; ++t) {
            std::memcpy(xs + t * k, x.at(t, h), k * sizeof(float));
            std::memcpy(dy + t * n, y.m.g + t * y.m.cols + y_at, n * sizeof(float));
        }
        std::fill_n(dx, rows * k, 0.0F);
        linear_backward(exec, linears[h], xs, dy, rows, dx, exec.tape->chains());
        for (std::size_t t = 0; t < rows; ++t) {
            float* const to = x.m.g + t * x.m.cols + x_at;
            exec.kernels.add(to, dx + t * k, to, k);
        }
    }
    exec.scratch.reset(mark);
}

}  // namespace

std::size_t head_linear_scratch(std::size_t rows, std::size_t n_heads, std::size_t n_in, std::size_t n_out) noexcept {
    const std::size_t prepared =
        std::max(Prepared::bytes_needed(Profile::q8, rows, n_in), Prepared::bytes_needed(Profile::bf16, rows, n_in)) +
        64;
    return std::max(n_heads * (prepared + sizeof(Product) + sizeof(Prepared)) + 4 * 64,
                    2 * mat_bytes(rows, n_in) + mat_bytes(rows, n_out));
}

void head_linear(Exec& exec, std::span<const Linear> linears, const HeadRows& x, const HeadRows& y) {
    const std::size_t rows = x.m.rows, heads = linears.size(), k = linears[0].n_in();
    const std::size_t mark = exec.scratch.mark();
    auto* const products = exec.scratch.take_array<Product>(heads);
    auto* const prepared = exec.scratch.take_array<Prepared>(heads);
    for (std::size_t h = 0; h < heads; ++h) {
        const Profile profile = linears[h].w.profile();
        const std::size_t bytes = Prepared::bytes_needed(profile, rows, k);
        new (prepared + h)
            Prepared(profile, x.at(0, h), x.m.cols, rows, k, bytes == 0 ? nullptr : exec.scratch.take(bytes));
        new (products + h) Product{&linears[h].w, prepared + h, y.at(0, h), y.m.cols, linears[h].bias_data(), false};
    }
    if (linears[0].w.profile() != Profile::f32) {
        for_rows(exec, rows * heads, k * 2,
                 [&](std::size_t i) { prepared[i % heads].run_row(exec.kernels, i / heads); });
    }
    multiply(exec.kernels, exec.threads, {products, heads});
    exec.scratch.reset(mark);
    if (exec.tape != nullptr) exec.tape->push([linears, x, y](Exec& e) { backward(e, linears, x, y); });
}

void copy_heads(Exec& exec, std::size_t n_heads, std::size_t n, const HeadRows& from, const HeadRows& to) {
    for_rows(exec, from.m.rows, n_heads * n, [&](std::size_t t) {
        for (std::size_t h = 0; h < n_heads; ++h) std::memcpy(to.at(t, h), from.at(t, h), n * sizeof(float));
    });
    if (exec.tape == nullptr) return;
    exec.tape->push([n_heads, n, from, to](Exec& e) {
        for_rows(e, from.m.rows, n_heads * n, [&](std::size_t t) {
            for (std::size_t h = 0; h < n_heads; ++h) {
                float* const d = from.m.g + t * from.m.cols + h * from.stride + from.offset;
                e.kernels.add(d, to.m.g + t * to.m.cols + h * to.stride + to.offset, d, n);
            }
        });
    });
}

}  // namespace freehold
