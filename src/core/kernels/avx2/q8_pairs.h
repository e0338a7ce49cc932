// The dot of AVX2 without VNNI: products of unsigned codes and signed activations in pairs by vpmaddubsw, added in 16
// bits as far as the codes allow, then widened by vpmaddwd. See q8_tiles.h for what a Dot is.
#pragma once

#include "avx2/q8_tiles.h"

namespace freehold::avx2 {
namespace {

// Groups whose products fit 16 bits together; 0: one at a time, with signs.
constexpr int groups_in_16_bits(Codes kind) noexcept {
    switch (kind) {
        case Codes::five:
        case Codes::bytes4:
            return 4;
        case Codes::six:
        case Codes::bytes2:
            return 2;
        case Codes::table:
        case Codes::full:
            return 0;
        default:
            return 8;
    }
}

// sum (+)= codes times activations over groups [G0, G0 + 4) or all 8, times `factor` (a 16-bit number in every lane:
// one, or the scale of this half of the block). `fresh`: sums begin here.
template <Codes kind, int T, int G0, int N, bool fresh>
[[gnu::always_inline]] inline void integer_sums(const std::byte* w, const std::int8_t* a, std::size_t lda,
                                                __m256i table, const __m256i (&factor)[2],
                                                __m256i (&sum)[T][2]) noexcept {
    constexpr int kAdd = groups_in_16_bits(kind);
    if constexpr (kAdd == 0) {
#pragma GCC unroll 8
        for (int g = G0; g < G0 + N; ++g)
#pragma GCC unroll 2
            for (int half = 0; half < 2; ++half) {
                const __m256i s =
                    _mm256_xor_si256(group_codes<kind>(w, g, half, table), _mm256_set1_epi8(static_cast<char>(0x80)));
                const __m256i magnitude = _mm256_abs_epi8(s);
#pragma GCC unroll 4
                for (int t = 0; t < T; ++t) {
                    const __m256i b = four_codes(a + static_cast<std::size_t>(t) * lda + 4 * g);
                    const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(b, s));
                    const __m256i four = _mm256_madd_epi16(pairs, factor[half]);
                    sum[t][half] = fresh && g == G0 ? four : _mm256_add_epi32(sum[t][half], four);
                    add_now(sum[t][half]);
                }
            }
    } else {
        __m256i pairs[T][2];
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) {
            const int g = G0 + i;
            const __m256i w0 = group_codes<kind>(w, g, 0, table), w1 = group_codes<kind>(w, g, 1, table);
#pragma GCC unroll 4
            for (int t = 0; t < T; ++t) {
                const __m256i b = four_codes(a + static_cast<std::size_t>(t) * lda + 4 * g);
                const __m256i p0 = _mm256_maddubs_epi16(w0, b), p1 = _mm256_maddubs_epi16(w1, b);
                pairs[t][0] = i % kAdd == 0 ? p0 : _mm256_add_epi16(pairs[t][0], p0);
                pairs[t][1] = i % kAdd == 0 ? p1 : _mm256_add_epi16(pairs[t][1], p1);
                add_now(pairs[t][0]);
                add_now(pairs[t][1]);
            }
            if (i % kAdd == kAdd - 1 || i == N - 1)
#pragma GCC unroll 4
                for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
                    for (int half = 0; half < 2; ++half) {
                        const __m256i four = _mm256_madd_epi16(pairs[t][half], factor[half]);
                        sum[t][half] = fresh && i < kAdd ? four : _mm256_add_epi32(sum[t][half], four);
                    }
        }
    }
}

// Both 16-bit lanes of a pair filled with its first, or its second.
template <int which>
[[gnu::always_inline]] inline __m256i twice(__m256i pairs) noexcept {
    const __m256i first = _mm256_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13, 0, 1, 0, 1, 4, 5, 4, 5,
                                           8, 9, 8, 9, 12, 13, 12, 13);
    return _mm256_shuffle_epi8(pairs, which == 0 ? first : _mm256_add_epi8(first, _mm256_set1_epi8(2)));
}

struct Pairs {
    static constexpr int kTile = 4;
    static constexpr bool kManyByteKinds = true;

    template <Codes kind, bool halves, int T>
    [[gnu::always_inline]] static void sums(const Layout& form, const std::byte* block, const Rows& x,
                                            const std::int8_t* a, std::size_t at, __m256i table,
                                            __m256i (&sum)[T][2]) noexcept {
        constexpr bool kSigned = groups_in_16_bits(kind) == 0;
        const std::byte* w = block + form.codes;
        // Signed codes are about 128 already; what is left of the offset is taken from the sums of the activations.
        const __m256i zero = _mm256_set1_epi32(kSigned ? form.zero - 128 : form.zero);
        const bool has_zero = kSigned ? form.zero != 128 : form.zero != 0;
        if constexpr (halves) {
            const __m256i pairs[2] = {half_pairs<true>(block + form.halves, 0),
                                      half_pairs<true>(block + form.halves, 1)};
            const __m256i first[2] = {twice<0>(pairs[0]), twice<0>(pairs[1])};
            integer_sums<kind, T, 0, 4, true>(w, a, x.padded_k, table, first, sum);
            const __m256i second[2] = {twice<1>(pairs[0]), twice<1>(pairs[1])};
            integer_sums<kind, T, 4, 4, false>(w, a, x.padded_k, table, second, sum);
            if (has_zero)
#pragma GCC unroll 4
                for (int r = 0; r < T; ++r) {
                    const __m256i both = half_sums(x, at + static_cast<std::size_t>(r) * x.n_blocks);
#pragma GCC unroll 2
                    for (int half = 0; half < 2; ++half)
                        sum[r][half] = _mm256_sub_epi32(sum[r][half],
                                                        _mm256_mullo_epi32(zero, _mm256_madd_epi16(pairs[half], both)));
                }
        } else {
            const __m256i ones[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
            integer_sums<kind, T, 0, 8, true>(w, a, x.padded_k, table, ones, sum);
            if (has_zero)
#pragma GCC unroll 4
                for (int r = 0; r < T; ++r) {
                    const __m256i z = _mm256_mullo_epi32(
                        zero, _mm256_set1_epi32(x.sum[at + static_cast<std::size_t>(r) * x.n_blocks]));
                    sum[r][0] = _mm256_sub_epi32(sum[r][0], z);
                    sum[r][1] = _mm256_sub_epi32(sum[r][1], z);
                }
        }
    }
};

}  // namespace
}  // namespace freehold::avx2
