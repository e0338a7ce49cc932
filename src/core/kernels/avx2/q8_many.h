// Many rows times the quantised panels of the usual formats on AVX2 without VNNI: what is known when compiled stays out
// of the loop, and the panel that comes next is asked for meanwhile.
#pragma once

#include <algorithm>

#include "avx2/q8_pairs.h"

namespace freehold::avx2 {
namespace {

constexpr std::size_t kFewRows = 32;  // for so many the arithmetic may have to wait for the next panel

// What a tile is made for: codes of a byte, at most 15 (eight groups may be added in 16 bits) or 31 (four).
struct ManyForm {
    int groups;
    bool has_min, has_zero;

    [[nodiscard]] constexpr std::size_t codes_at() const { return has_min ? 128 : 64; }
    [[nodiscard]] constexpr std::size_t block_bytes() const { return codes_at() + 512; }
};

// n expanded blocks for T rows from t on. kLines lines of what lies at `ahead` are asked for with each block.
// Not inlined: among its own kind the compiler runs out of registers.
template <ManyForm f, int T, int kLines>
[[gnu::noinline]] void many_tile(const std::byte* panel, int zero_bits, const Rows& x, std::size_t t, std::size_t b0,
                                 std::size_t n, const std::byte* ahead, float* y, std::size_t ldy,
                                 bool from_y) noexcept {
    __m256 acc[T][2];
#pragma GCC unroll 4
    for (int r = 0; r < T; ++r) {
        const float* row = y + static_cast<std::size_t>(r) * ldy;
        acc[r][0] = from_y ? _mm256_loadu_ps(row) : _mm256_setzero_ps();
        acc[r][1] = from_y ? _mm256_loadu_ps(row + 8) : _mm256_setzero_ps();
    }
    const std::size_t lda = x.padded_k, at = t * x.n_blocks + b0;
    const std::int8_t* a = x.codes + t * lda + b0 * kQBlock;
    const float *scale = x.scale + at, *fsum = x.fsum + at;
    const std::int32_t* asum = x.sum + at;
    const __m256i ones[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
    const __m128i shift = _mm_cvtsi32_si128(zero_bits);
    for (std::size_t b = 0; b < n; ++b, panel += f.block_bytes(), a += kQBlock, ++scale, ++fsum, ++asum) {
#pragma GCC unroll 8
        for (int i = 0; i < kLines; ++i, ahead += 64) prefetch(ahead, 0);
        __m256i sum[T][2];
        integer_sums<f.groups == 8 ? Codes::bytes8 : Codes::bytes4, T, 0, 8, true>(panel + f.codes_at(), a, lda,
                                                                                   _mm256_setzero_si256(), ones, sum);
        const auto* s = reinterpret_cast<const float*>(panel);
        const __m256 s0 = _mm256_load_ps(s), s1 = _mm256_load_ps(s + 8);
#pragma GCC unroll 4
        for (int r = 0; r < T; ++r) {
            const std::size_t i = static_cast<std::size_t>(r) * x.n_blocks;
            __m256i sum0 = sum[r][0], sum1 = sum[r][1];
            if constexpr (f.has_zero) {
                const __m256i z = _mm256_sll_epi32(_mm256_set1_epi32(asum[i]), shift);
                sum0 = _mm256_sub_epi32(sum0, z);
                sum1 = _mm256_sub_epi32(sum1, z);
            }
            const __m256 as = _mm256_broadcast_ss(scale + i);
            acc[r][0] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum0), _mm256_mul_ps(s0, as), acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum1), _mm256_mul_ps(s1, as), acc[r][1]);
            if constexpr (f.has_min) {
                const __m256 fs = _mm256_broadcast_ss(fsum + i);
                acc[r][0] = _mm256_fmadd_ps(_mm256_load_ps(s + 16), fs, acc[r][0]);
                acc[r][1] = _mm256_fmadd_ps(_mm256_load_ps(s + 24), fs, acc[r][1]);
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < T; ++r) {
        _mm256_storeu_ps(y + static_cast<std::size_t>(r) * ldy, acc[r][0]);
        _mm256_storeu_ps(y + static_cast<std::size_t>(r) * ldy + 8, acc[r][1]);
    }
}

template <ManyForm f>
void many_rows(Codes kind, const QPanelForm& form, const std::byte* panel, const Rows& x, std::size_t T, float* y,
               std::size_t ldy) noexcept {
    const Layout layout(form);
    const Layout wide(form.expanded());
    const int zero_bits = __builtin_ctz(static_cast<unsigned>(form.form.zero) | 256U);
    alignas(64) std::byte buffer[kChainBlocks * f.block_bytes()];
    for (std::size_t b = 0; b < x.n_blocks; b += kChainBlocks) {
        const std::size_t n = std::min(kChainBlocks, x.n_blocks - b);
        const std::byte* const here = panel + (form.has_header() ? form.header_at(b) : form.block_at(b));
        with_kind<Pairs>(kind, [&]<Codes k>() { expand<k>(layout, here, n, wide, buffer); });
        // Few rows would wait for the next stretch, or panel: it is asked for while these are worked on.
        const std::byte* ahead = here + form.panel_bytes(n);
        std::size_t t = 0;
        if (T <= kFewRows)
            for (; t + 4 <= T && t < 12; t += 4, ahead += 2 * 64 * n)
                many_tile<f, 4, 2>(buffer, zero_bits, x, t, b, n, ahead, y + t * ldy, ldy, b != 0);
        for (; t < T; t += 4) {
            float* const out = y + t * ldy;
            switch (std::min<std::size_t>(T - t, 4)) {
                case 4:
                    many_tile<f, 4, 0>(buffer, zero_bits, x, t, b, n, nullptr, out, ldy, b != 0);
                    break;
                case 3:
                    many_tile<f, 3, 0>(buffer, zero_bits, x, t, b, n, nullptr, out, ldy, b != 0);
                    break;
                case 2:
                    many_tile<f, 2, 0>(buffer, zero_bits, x, t, b, n, nullptr, out, ldy, b != 0);
                    break;
                default:
                    many_tile<f, 1, 0>(buffer, zero_bits, x, t, b, n, nullptr, out, ldy, b != 0);
            }
        }
    }
}

using ManyRows = void (*)(Codes kind, const QPanelForm& form, const std::byte* panel, const Rows& x, std::size_t T,
                          float* y, std::size_t ldy);

// The kernel for this form, or null: then the tiles of q8_tiles.h do it.
inline ManyRows many_rows_of(const QuantForm& f) noexcept {
    const bool power_of_two = (f.zero & (f.zero - 1)) == 0;
    if (f.has_half || !power_of_two || f.has_min == (f.zero != 0)) return nullptr;
    if (f.bits == 4 && kind_of_bytes<Pairs>(f) == Codes::bytes8)
        return f.has_min ? many_rows<ManyForm{8, true, false}> : many_rows<ManyForm{8, false, true}>;
    if (f.bits == 5 && kind_of_bytes<Pairs>(f) == Codes::bytes4)
        return f.has_min ? many_rows<ManyForm{4, true, false}> : many_rows<ManyForm{4, false, true}>;
    return nullptr;
}

}  // namespace
}  // namespace freehold::avx2
