// Quantised panels times q8 activations with VNNI in 512 bits: a register is a panel, a tile up to twelve rows.
//
// A block's codes stay in eight registers while four rows at a time run through them: eight vpdpbusd each, with the
// activations broadcast from memory. A row's cache line is thus used up at once, so that rows whose distance is a power
// of two do not fight for one set of the cache. Sums begin at -z times the sum of the activations, which costs a
// broadcast load. What a tile needs beside codes is copied next to each other first, so that one register addresses it.
#include <cstring>

#include "dots.h"
#include "mac_tile.h"
#include "q8_blocks.h"
#include "table.h"

namespace freehold::avx512 {
namespace {

constexpr std::size_t kPackedRows = 4;  // up to here packed codes are decoded in registers; beyond, expanded once

// Blocks of one pass over a tile: expanded panel, activations and the rest share 32 KiB.
constexpr std::size_t chain_blocks(bool halves) noexcept {
    return halves ? 16 : 24;
}

// What belongs to the rows of a tile and to the blocks of a pass, beside the codes.
template <bool halves>
struct TileRows {
    static constexpr std::size_t kLd = chain_blocks(halves);
    static constexpr std::size_t kZeroLd = halves ? 2 * kLd : kLd;
    const std::int8_t* codes = nullptr;
    std::size_t lda = 0;
    alignas(64) float scale[kTileRows * kLd];
    alignas(64) float fsum[kTileRows * kLd];
    alignas(64) std::int32_t zero[kTileRows * kZeroLd];  // -z times the sums; halves: of each half
    alignas(64) std::int32_t half[halves ? kTileRows * kLd : 1];

    TileRows(const Q8Rows& x, const QuantForm& form, std::size_t t, std::size_t rows, std::size_t b0,
             std::size_t n) noexcept
        : codes(x.codes + t * x.padded_k + b0 * kQBlock), lda(x.padded_k) {
        const std::size_t n_blocks = x.padded_k / kQBlock;
        const __m512i minus_z = _mm512_set1_epi32(-form.zero);
        for (std::size_t r = 0; r < rows; ++r) {
            const std::size_t from = (t + r) * n_blocks + b0, to = r * kLd;
            for (std::size_t i = 0; i < n; i += 16) {
                const std::size_t left = n - i < 16 ? n - i : 16;
                const __mmask16 m = first_lanes(left);
                _mm512_mask_storeu_ps(scale + to + i, m, _mm512_maskz_loadu_ps(m, x.scale + from + i));
                if (form.has_min) _mm512_mask_storeu_ps(fsum + to + i, m, _mm512_maskz_loadu_ps(m, x.fsum + from + i));
                if constexpr (halves) {
                    const __m512i pairs = _mm512_maskz_loadu_epi32(m, x.half + 2 * (from + i));
                    _mm512_mask_storeu_epi32(half + to + i, m, pairs);
                    zero_halves(pairs, minus_z, left, zero + r * kZeroLd + 2 * i);
                } else {
                    const __m512i sums = _mm512_maskz_loadu_epi32(m, x.sum + from + i);
                    _mm512_mask_storeu_epi32(zero + to + i, m, _mm512_mullo_epi32(sums, minus_z));
                }
            }
        }
    }

    // Pairs of 16 bits to 32 bits, times -z.
    static void zero_halves(__m512i pairs, __m512i minus_z, std::size_t blocks, std::int32_t* to) noexcept {
        const __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(pairs));
        const __m512i high = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(pairs, 1));
        const std::size_t values = 2 * blocks;
        _mm512_mask_storeu_epi32(to, first_lanes(values < 16 ? values : 16), _mm512_mullo_epi32(low, minus_z));
        if (values > 16) _mm512_mask_storeu_epi32(to + 16, first_lanes(values - 16), _mm512_mullo_epi32(high, minus_z));
    }
};

// The next row's codes. Hidden from the compiler, which would keep the addresses of all rows and run out of registers.
[[gnu::always_inline]] inline const std::int8_t* next_row(const std::int8_t* row, std::size_t lda) noexcept {
    row += lda;
    __asm__("" : "+r"(row));
    return row;
}

// Integers of R rows as floats: exact, below 2^24. `row` is moved past the rows.
template <bool halves, int R>
[[gnu::always_inline]] inline void integers(const Block& block, const std::int8_t*& row, std::size_t lda,
                                            const std::int32_t* zero, __m512 (&value)[R]) noexcept {
    constexpr std::size_t kZeroLd = TileRows<halves>::kZeroLd;
    const std::int8_t* a[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
        a[r] = row;
        row = next_row(row, lda);
    }
    if constexpr (halves) {
        __m512i sum[R][2];
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r) {
            sum[r][0] = _mm512_set1_epi32(zero[static_cast<std::size_t>(r) * kZeroLd]);
            sum[r][1] = _mm512_set1_epi32(zero[static_cast<std::size_t>(r) * kZeroLd + 1]);
        }
#pragma GCC unroll 4
        for (int g = 0; g < 4; ++g)
#pragma GCC unroll 2
            for (int r = 0; r < R; ++r) {
                add_dot4(sum[r][0], block.w[g], a[r] + 4 * g);
                add_dot4(sum[r][1], block.w[g + 4], a[r] + 4 * g + 16);
            }
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r)  // the zero keeps a sum of two -0 from being one
            value[r] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][0]), block.half0,
                                _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][1]), block.half1, _mm512_setzero_ps()));
    } else {
        __m512i sum[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sum[r] = _mm512_set1_epi32(zero[static_cast<std::size_t>(r) * kZeroLd]);
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g)
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) add_dot4(sum[r], block.w[g], a[r] + 4 * g);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) value[r] = _mm512_cvtepi32_ps(sum[r]);
    }
}

// One block for rows [r0, r0 + R): acc = fma(integer, w_scale * a_scale, acc), and the minimum after it.
template <bool halves, int R>
[[gnu::always_inline]] inline void add_block(const Layout& form, const Block& block, const TileRows<halves>& x, int r0,
                                             const std::int8_t*& row, std::size_t b, __m512* acc) noexcept {
    const std::size_t at = static_cast<std::size_t>(r0) * TileRows<halves>::kLd + b;
    constexpr std::size_t kLd = TileRows<halves>::kLd;
    __m512 value[R];
    integers<halves, R>(block, row, x.lda, x.zero + (halves ? 2 * at : at), value);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
        const std::size_t i = at + static_cast<std::size_t>(r) * kLd;
        acc[r] = _mm512_fmadd_ps(value[r], _mm512_mul_ps(block.scale, _mm512_set1_ps(x.scale[i])), acc[r]);
    }
    if (!form.has_min) return;
    if (halves && form.has_half_min) {
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            const std::size_t i = at + static_cast<std::size_t>(r) * kLd;
            const __m512i sum = _mm512_madd_epi16(block.half_min, _mm512_set1_epi32(x.half[halves ? i : 0]));
            acc[r] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(block.min, _mm512_set1_ps(x.scale[i])), acc[r]);
        }
    } else {
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
            acc[r] = _mm512_fmadd_ps(block.min, _mm512_set1_ps(x.fsum[at + static_cast<std::size_t>(r) * kLd]), acc[r]);
    }
}

// n blocks for T rows; `from_y`: the chains go on from y.
template <class Source, bool halves, int T>
[[gnu::noinline]] void tile(Source source, const Layout& form, const TileRows<halves>& x, std::size_t n, float* y,
                            std::size_t ldy, __mmask16 lanes, bool from_y) noexcept {
    constexpr int kTogether = halves ? 2 : 4;  // rows whose sums are in flight at once
    __m512 acc[T];
#pragma GCC unroll 12
    for (int r = 0; r < T; ++r)
        acc[r] = from_y ? _mm512_maskz_loadu_ps(lanes, y + static_cast<std::size_t>(r) * ldy) : _mm512_setzero_ps();
    const std::int8_t* a = x.codes;
    for (std::size_t b = 0; b < n; ++b, a += kQBlock) {
        Block block;
        source.template next<halves>(block);
        const std::int8_t* row = a;
#pragma GCC unroll 6
        for (int r = 0; r + kTogether <= T; r += kTogether)
            add_block<halves, kTogether>(form, block, x, r, row, b, acc + r);
        constexpr int kRest = T % kTogether;
        if constexpr (kRest != 0) add_block<halves, kRest>(form, block, x, T - kRest, row, b, acc + (T - kRest));
    }
#pragma GCC unroll 12
    for (int r = 0; r < T; ++r) _mm512_mask_storeu_ps(y + static_cast<std::size_t>(r) * ldy, lanes, acc[r]);
}

// All blocks of a panel for rows [t0, t0 + T), a stretch of blocks after the other.
template <Codes kind, bool halves>
void panel_rows(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel,
                float* y, std::size_t ldy, __mmask16 lanes) noexcept {
    constexpr std::size_t kMost = chain_blocks(halves);
    const Layout layout(form);
    const std::size_t n_blocks = x.padded_k / kQBlock, passes = (n_blocks + kMost - 1) / kMost;
    const std::size_t step = form.has_header() ? kMost : (n_blocks + passes - 1) / passes;
    alignas(64) std::byte buffer[kMost * Wide::bytes(halves)];
    for (std::size_t b = 0; b < n_blocks; b += step) {
        const std::size_t n = n_blocks - b < step ? n_blocks - b : step;
        const std::byte* here = panel + (form.has_header() ? form.header_at(b) : form.block_at(b));
        const auto rows = [&](std::size_t t, std::size_t count) {
            return TileRows<halves>(x, form.form, t0 + t, count, b, n);
        };
        if (T <= kPackedRows) {
            const auto few = [&]<int R>(std::size_t t) {
                tile<Packed<kind>, halves, R>(Packed<kind>(layout, here), layout, rows(t, R), n, y + t * ldy, ldy,
                                              lanes, b != 0);
            };
            if (T == 4) few.template operator()<4>(0);
            if (T == 2 || T == 3) few.template operator()<2>(0);
            if (T == 1 || T == 3) few.template operator()<1>(T - 1);
        } else {
            expand<kind, halves>(layout, here, n, buffer);
            in_tiles(T, [&]<int R>(std::size_t t) {
                tile<Wide, halves, R>(Wide{buffer}, layout, rows(t, R), n, y + t * ldy, ldy, lanes, b != 0);
            });
        }
    }
}

Codes kind_of(const QuantForm& f) noexcept {
    switch (f.bits) {
        case 2:
            return Codes::two;
        case 3:
            return Codes::three;
        case 4:
            return f.table != nullptr ? Codes::table : Codes::four;
        case 5:
            return Codes::five;
        case 6:
            return Codes::six;
        default:
            return Codes::bytes;
    }
}

// Whether a half's sum times its sub-scale is below 2^24 whatever the codes are, so that floats hold it exactly: 16
// products of at most 64 * 127 times 128, or, in forms with codes above 63, of 255 * 127 times sub-scales within 32.
bool halves_fit_floats(const QuantForm& f) noexcept {
    return f.max_code > 63 || f.zero <= 64;
}

}  // namespace

void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid) {
    // No format has such a form: an offset far outside of its codes.
    if (form.form.has_half && !halves_fit_floats(form.form))
        return avx2::panel_q8(x, t0, T, form, panel, y, ldy, n_valid);
    const __mmask16 lanes = first_lanes(static_cast<std::size_t>(n_valid));
    const auto run = [&]<Codes kind>() {
        if (form.form.has_half)
            panel_rows<kind, true>(x, t0, T, form, panel, y, ldy, lanes);
        else
            panel_rows<kind, false>(x, t0, T, form, panel, y, ldy, lanes);
    };
    switch (kind_of(form.form)) {
        case Codes::two:
            return run.template operator()<Codes::two>();
        case Codes::three:
            return run.template operator()<Codes::three>();
        case Codes::four:
            return run.template operator()<Codes::four>();
        case Codes::five:
            return run.template operator()<Codes::five>();
        case Codes::six:
            return run.template operator()<Codes::six>();
        case Codes::table:
            return run.template operator()<Codes::table>();
        case Codes::bytes:
            return run.template operator()<Codes::bytes>();
    }
}

}  // namespace freehold::avx512
