// The dot of AVX-VNNI: vpdpbusd adds four products of unsigned codes and signed activations to 32 bits, whatever the
// codes are. Sums begin at -z times the sum of the activations, so that offsets cost one vpmaddwd a row and block.
#pragma once

#include "avx2/q8_tiles.h"

namespace freehold::avx2 {
namespace {

struct Quads {
    static constexpr int kTile = 3;  // 6 sums, 6 chains, 2 registers of codes and a broadcast: 15 of 16
    static constexpr bool kManyByteKinds = false;

    // sum += codes times activations over groups [G0, G0 + N).
    template <Codes kind, int T, int G0, int N>
    [[gnu::always_inline]] static void add_groups(const std::byte* w, const std::int8_t* a, std::size_t lda,
                                                  __m256i table, __m256i (&sum)[T][2]) noexcept {
#pragma GCC unroll 8
        for (int g = G0; g < G0 + N; ++g) {
            const __m256i w0 = group_codes<kind>(w, g, 0, table), w1 = group_codes<kind>(w, g, 1, table);
#pragma GCC unroll 4
            for (int t = 0; t < T; ++t) {
                const __m256i b = four_codes(a + static_cast<std::size_t>(t) * lda + 4 * g);
                sum[t][0] = _mm256_dpbusd_avx_epi32(sum[t][0], w0, b);
                sum[t][1] = _mm256_dpbusd_avx_epi32(sum[t][1], w1, b);
            }
        }
    }

    // -z * asum of each row: `zeros` holds -z in both, or only one, of every pair of 16 bits.
    template <int T>
    [[gnu::always_inline]] static void begin(__m256i zeros, const Rows& x, std::size_t at,
                                             __m256i (&sum)[T][2]) noexcept {
#pragma GCC unroll 4
        for (int r = 0; r < T; ++r)
            sum[r][0] = sum[r][1] =
                _mm256_madd_epi16(zeros, half_sums(x, at + static_cast<std::size_t>(r) * x.n_blocks));
    }

    template <Codes kind, bool halves, int T>
    [[gnu::always_inline]] static void sums(const Layout& form, const std::byte* block, const Rows& x,
                                            const std::int8_t* a, std::size_t at, __m256i table,
                                            __m256i (&sum)[T][2]) noexcept {
        const std::byte* w = block + form.codes;
        const __m256i zeros = _mm256_set1_epi16(static_cast<short>(-form.zero));
        if constexpr (halves) {
            const __m256i pairs[2] = {half_pairs<true>(block + form.halves, 0),
                                      half_pairs<true>(block + form.halves, 1)};
            __m256i second[T][2];
            begin(_mm256_srli_epi32(zeros, 16), x, at, sum);
            add_groups<kind, T, 0, 4>(w, a, x.padded_k, table, sum);
#pragma GCC unroll 4
            for (int r = 0; r < T; ++r)
#pragma GCC unroll 2
                for (int half = 0; half < 2; ++half)
                    sum[r][half] =
                        _mm256_mullo_epi32(sum[r][half], _mm256_srai_epi32(_mm256_slli_epi32(pairs[half], 16), 16));
            begin(_mm256_slli_epi32(zeros, 16), x, at, second);
            add_groups<kind, T, 4, 4>(w, a, x.padded_k, table, second);
#pragma GCC unroll 4
            for (int r = 0; r < T; ++r)
#pragma GCC unroll 2
                for (int half = 0; half < 2; ++half)
                    sum[r][half] = _mm256_add_epi32(
                        sum[r][half], _mm256_mullo_epi32(second[r][half], _mm256_srai_epi32(pairs[half], 16)));
        } else {
            begin(zeros, x, at, sum);
            add_groups<kind, T, 0, 8>(w, a, x.padded_k, table, sum);
        }
    }
};

}  // namespace
}  // namespace freehold::avx2
