// One row of activations times a quantised panel, as in decoding: for the formats that files are full of, with all that
// a format fixes known when this is compiled, and headers opened once for the eight blocks that they serve.
#pragma once

#include "avx2/q8_pairs.h"

namespace freehold::avx2 {
namespace {

constexpr Codes packed_kind(const QuantForm& f) noexcept {
    return f.bits == 4 ? Codes::four : (f.bits == 5 ? Codes::five : Codes::six);
}

constexpr int log2_of(int n) noexcept {
    return n <= 1 ? 0 : 1 + log2_of(n / 2);
}

// One block; d and m are the header's scales and minimums where there is a header.
template <QuantForm kForm>
[[gnu::always_inline]] inline void one_block(const std::byte* block, const Rows& x, const std::int8_t* a,
                                             std::size_t at, const __m256 (&d)[2], const __m256 (&m)[2],
                                             __m256 (&acc)[2]) noexcept {
    constexpr QPanelForm kPanel{kForm};
    constexpr Codes kKind = packed_kind(kForm);
    constexpr bool kSuper = kForm.scales == ScaleForm::super;
    for (std::size_t i = 0; i < kPanel.block_bytes(); i += 64) prefetch(block, kPrefetchAhead + i);
    const std::byte* w = block + kPanel.codes_at();
    __m256i sum[1][2];
    if constexpr (kForm.has_half) {
        const __m256i pairs[2] = {half_pairs<true>(block + kPanel.halves_at(), 0),
                                  half_pairs<true>(block + kPanel.halves_at(), 1)};
        const __m256i first[2] = {twice<0>(pairs[0]), twice<0>(pairs[1])};
        integer_sums<kKind, 1, 0, 4, true>(w, a, 0, __m256i{}, first, sum);
        const __m256i second[2] = {twice<1>(pairs[0]), twice<1>(pairs[1])};
        integer_sums<kKind, 1, 4, 4, false>(w, a, 0, __m256i{}, second, sum);
        const __m256i both = half_sums(x, at);
        constexpr int kShift = log2_of(kForm.zero);
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half)
            sum[0][half] =
                _mm256_sub_epi32(sum[0][half], _mm256_slli_epi32(_mm256_madd_epi16(pairs[half], both), kShift));
    } else {
        const __m256i ones[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
        integer_sums<kKind, 1, 0, 8, true>(w, a, 0, __m256i{}, ones, sum);
        if constexpr (kForm.zero != 0) {
            const __m256i z = _mm256_slli_epi32(_mm256_set1_epi32(x.sum[at]), log2_of(kForm.zero));
            sum[0][0] = _mm256_sub_epi32(sum[0][0], z);
            sum[0][1] = _mm256_sub_epi32(sum[0][1], z);
        }
    }
    __m256 s[2] = {d[0], d[1]};
    if constexpr (!kSuper) {
        load_f16(block, s[0], s[1]);
    } else if constexpr (!kForm.has_half) {
        s[0] = _mm256_mul_ps(s[0], int8_as_floats(block));
        s[1] = _mm256_mul_ps(s[1], int8_as_floats(block + 8));
    }
    const __m256 as = _mm256_broadcast_ss(x.scale + at);
    acc[0] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[0][0]), _mm256_mul_ps(s[0], as), acc[0]);
    acc[1] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[0][1]), _mm256_mul_ps(s[1], as), acc[1]);
    if constexpr (kForm.has_min) {
        const std::byte* mins = block + kPanel.mins_at();
        __m256 n[2] = {m[0], m[1]};
        if constexpr (kSuper) {
            n[0] = _mm256_mul_ps(n[0], int8_as_floats(mins));
            n[1] = _mm256_mul_ps(n[1], int8_as_floats(mins + 8));
        } else {
            load_f16(mins, n[0], n[1]);
        }
        const __m256 fs = _mm256_broadcast_ss(x.fsum + at);
        acc[0] = _mm256_fmadd_ps(n[0], fs, acc[0]);
        acc[1] = _mm256_fmadd_ps(n[1], fs, acc[1]);
    }
}

template <QuantForm kForm>
void one_row(const std::byte* panel, const Rows& x, float* y) noexcept {
    static_assert(kForm.scales != ScaleForm::f32 && kForm.table == nullptr && !kForm.has_half_min);
    constexpr QPanelForm kPanel{kForm};
    constexpr std::size_t kSuper = QPanelForm::kSuperBlocks;
    __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    __m256 d[2] = {acc[0], acc[0]}, m[2] = {acc[0], acc[0]};
    const std::int8_t* a = x.codes;
    if constexpr (kPanel.has_header()) {
        for (std::size_t b = 0; b < x.n_blocks;) {
            load_f16(panel, d[0], d[1]);
            if constexpr (kForm.has_min) load_f16(panel + 32, m[0], m[1]);
            panel += kPanel.header_bytes();
            for (const std::size_t end = x.n_blocks - b < kSuper ? x.n_blocks : b + kSuper; b < end; ++b) {
                one_block<kForm>(panel, x, a, b, d, m, acc);
                panel += kPanel.block_bytes();
                a += kQBlock;
            }
        }
    } else {
        for (std::size_t b = 0; b < x.n_blocks; ++b, panel += kPanel.block_bytes(), a += kQBlock)
            one_block<kForm>(panel, x, a, b, d, m, acc);
    }
    _mm256_storeu_ps(y, acc[0]);
    _mm256_storeu_ps(y + 8, acc[1]);
}

using OneRow = void (*)(const std::byte*, const Rows&, float*) noexcept;

// The kernel for this form, or null: then a tile of one row does it, as well or better where one row waits for memory
// (docs/lab-log.md).
inline OneRow one_row_of(const QuantForm& f) noexcept {
    using enum ScaleForm;
    if (f.table != nullptr || f.has_half_min) return nullptr;
    const auto is = [&](int zero, bool min, bool half, ScaleForm scales) {
        return f.zero == zero && f.has_min == min && f.has_half == half && f.scales == scales;
    };
    switch (f.bits) {
        case 4:
            if (is(0, true, false, super)) return one_row<QuantForm{.bits = 4, .has_min = true, .scales = super}>;
            return nullptr;
        case 5:
            if (is(16, false, false, f16)) return one_row<QuantForm{.bits = 5, .zero = 16, .scales = f16}>;
            if (is(0, true, false, f16)) return one_row<QuantForm{.bits = 5, .has_min = true, .scales = f16}>;
            if (is(0, true, false, super)) return one_row<QuantForm{.bits = 5, .has_min = true, .scales = super}>;
            return nullptr;
        case 6:
            if (is(32, false, true, super))
                return one_row<QuantForm{.bits = 6, .zero = 32, .has_half = true, .scales = super}>;
            return nullptr;
        default:
            return nullptr;
    }
}

}  // namespace
}  // namespace freehold::avx2
