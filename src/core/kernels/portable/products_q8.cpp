// Quantised panels times q8 activations by 16-bit products: what every chip with 128-bit vectors has. Products of bytes
// are added in 16 bits as far as the codes allow, then in 32. Integers are exact, so the order is free (rule 4).
#include <algorithm>

#include "portable/q8_tiles.h"
#include "portable/table.h"

namespace freehold::portable {
namespace {

// Groups whose products fit 16 bits together: each lane takes one product of a group.
constexpr int groups_in_16_bits(Codes kind) noexcept {
    switch (kind) {
        case Codes::six:
        case Codes::bytes63:
            return 4;  // 4 * 63 * 127 = 32004
        case Codes::table:
        case Codes::full:
            return 2;  // 2 * 128 * 127 = 32512
        default:
            return 8;  // 8 * 31 * 127 = 31496
    }
}

// p (+)= the low or the high eight codes times activations.
template <bool high, bool fresh>
[[gnu::always_inline]] inline void add_products(VI8 w, VI8 b, VI16& p) noexcept {
#if HWY_ARCH_ARM_A64
    if constexpr (high)
        p = fresh ? VI16(vmull_high_s8(w.raw, b.raw)) : VI16(vmlal_high_s8(p.raw, w.raw, b.raw));
    else
        p = fresh ? VI16(vmull_s8(vget_low_s8(w.raw), vget_low_s8(b.raw)))
                  : VI16(vmlal_s8(p.raw, vget_low_s8(w.raw), vget_low_s8(b.raw)));
#else
    const hn::FixedTag<std::int8_t, 8> half;
    const auto wide = [half](VI8 v) {
        return hn::PromoteTo(DI16(), high ? hn::UpperHalf(half, v) : hn::LowerHalf(half, v));
    };
    const VI16 product = hn::Mul(wide(w), wide(b));
    p = fresh ? product : hn::Add(p, product);
#endif
}

// sum (+)= neighbours of p together.
template <bool fresh>
[[gnu::always_inline]] inline void add_pairs(VI16 p, VI& sum) noexcept {
#if HWY_ARCH_ARM_A64
    sum = fresh ? VI(vpaddlq_s16(p.raw)) : VI(vpadalq_s16(sum.raw, p.raw));
#else
    VI other = hn::Zero(DI());
    const VI first = hn::ReorderWidenMulAccumulate(DI(), p, hn::Set(DI16(), 1), hn::Zero(DI()), other);
    const VI pairs = hn::RearrangeToOddPlusEven(first, other);
    sum = fresh ? pairs : hn::Add(sum, pairs);
#endif
}

// Two pairs an output, of outputs 0, 1 and 2, 3, to one number an output.
[[gnu::always_inline]] inline VI joined(VI low, VI high) noexcept {
#if HWY_ARCH_ARM_A64
    return VI(vpaddq_s32(low.raw, high.raw));
#else
    return hn::Add(hn::ConcatEven(DI(), high, low), hn::ConcatOdd(DI(), high, low));
#endif
}

struct Products16 {
    template <Codes kind, int G0, int N, int T, int V>
    [[gnu::always_inline]] static void sums(const std::byte* w, const std::int8_t* a, std::size_t lda, VU8 table,
                                            VI (&sum)[T][V]) noexcept {
        if constexpr (N == 8 && groups_in_16_bits(kind) == 8)
            sums_by_groups<kind, T, V>(w, a, lda, table, sum);
        else
            sums_by_outputs<kind, G0, N, T, V>(w, a, lda, table, sum);
    }

 private:
    // All groups fit 16 bits: each code meets the activations of all rows as soon as it is loaded.
    template <Codes kind, int T, int V>
    [[gnu::always_inline]] static void sums_by_groups(const std::byte* w, const std::int8_t* a, std::size_t lda,
                                                      VU8 table, VI (&sum)[T][V]) noexcept {
        VI16 p[T][2 * V];
        for_each_constant<8>([&]<int g>() __attribute__((always_inline)) {
            if constexpr (g == 4) load_again();
            VI8 codes[V];
#pragma GCC unroll 4
            for (std::size_t v = 0; v < V; ++v) codes[v] = signed_codes<kind, g>(w + 16 * v, table);
#pragma GCC unroll 4
            for (std::size_t t = 0; t < T; ++t) {
                const VI8 b = four_codes(a + t * lda + 4 * g);
#pragma GCC unroll 4
                for (std::size_t v = 0; v < V; ++v) {
                    add_products<false, g == 0>(codes[v], b, p[t][2 * v]);
                    add_products<true, g == 0>(codes[v], b, p[t][2 * v + 1]);
                }
            }
        });
#pragma GCC unroll 4
        for (std::size_t t = 0; t < T; ++t)
#pragma GCC unroll 4
            for (std::size_t v = 0; v < V; ++v) {
                VI low, high;
                add_pairs<true>(p[t][2 * v], low);
                add_pairs<true>(p[t][2 * v + 1], high);
                sum[t][v] = joined(low, high);
            }
    }

    // Sums of 16 and of 32 bits for four outputs at a time: for more there are not registers enough.
    template <Codes kind, int G0, int N, int T, int V>
    [[gnu::always_inline]] static void sums_by_outputs(const std::byte* w, const std::int8_t* a, std::size_t lda,
                                                       VU8 table, VI (&sum)[T][V]) noexcept {
        constexpr int kAdd = std::min(N, groups_in_16_bits(kind));
#pragma GCC unroll 4
        for (std::size_t v = 0; v < V; ++v) {
            load_again();
            VI pairs[T][2];
            for_each_constant<N / kAdd>([&]<int chunk>() __attribute__((always_inline)) {
                VI8 codes[kAdd];
                for_each_constant<kAdd>([&]<int i>() __attribute__((always_inline)) {
                    codes[i] = signed_codes<kind, G0 + chunk * kAdd + i>(w + 16 * v, table);
                });
#pragma GCC unroll 4
                for (std::size_t t = 0; t < T; ++t) {
                    VI16 low, high;
                    for_each_constant<kAdd>([&]<int i>() __attribute__((always_inline)) {
                        const VI8 b = four_codes(a + t * lda + 4 * (G0 + chunk * kAdd + i));
                        add_products<false, i == 0>(codes[i], b, low);
                        add_products<true, i == 0>(codes[i], b, high);
                    });
                    add_pairs<chunk == 0>(low, pairs[t][0]);
                    add_pairs<chunk == 0>(high, pairs[t][1]);
                }
            });
#pragma GCC unroll 4
            for (std::size_t t = 0; t < T; ++t) sum[t][v] = joined(pairs[t][0], pairs[t][1]);
        }
    }
};

}  // namespace

void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid) {
    any_panel<Products16>(x, t0, T, form, panel, y, ldy, n_valid);
}

}  // namespace freehold::portable
