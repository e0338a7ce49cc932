// Quantised panels times q8 activations in 256-bit vectors: tiles of a few rows and sixteen outputs. `Dot` says how
// four codes meet four activations: avx2/q8_pairs.h by vpmaddubsw and vpmaddwd, avxvnni/q8_quads.h by one vpdpbusd.
//
// A Dot has: kTile, rows of a tile; kManyByteKinds, whether codes of one byte are told apart by their size; and
//   template <Codes kind, bool halves, int T> static void sums(...): the integer of rule 4 for T rows and one block.
#pragma once

#include <cstring>

#include "freehold/kernels/kernels.h"
#include "lanes.h"
#include "vectors/q8_panel.h"

namespace freehold::avx2 {
namespace {

using vectors::kPrefetchAhead;
using vectors::Layout;
using vectors::Rows;

constexpr std::size_t kChainBlocks = 32;  // blocks of a panel that are kept expanded in the first-level cache

// How codes come, and how many products of codes may be added in 16 bits before they are widened.
enum class Codes {
    two,     // packed: all 8 groups, 8 * 2 * 3 * 127 = 6096
    three,   // packed: all 8 groups, 14224
    four,    // packed: all 8 groups, 30480
    five,    // packed: 4 groups, 31496
    six,     // packed: 2 groups, 32004
    table,   // packed nibbles that stand for bytes: as full
    bytes8,  // one byte, at most 15: all 8 groups
    bytes4,  // at most 31: 4 groups
    bytes2,  // at most 63: 2 groups
    full,    // any byte: taken as signed about 128, |w| times a with the sign of w, 32512 for one group
};

[[gnu::always_inline]] inline void load_f16(const std::byte* p, __m256& a, __m256& b) noexcept {
    const auto* h = reinterpret_cast<const __m128i*>(p);
    a = _mm256_cvtph_ps(_mm_loadu_si128(h));
    b = _mm256_cvtph_ps(_mm_loadu_si128(h + 1));
}

[[gnu::always_inline]] inline __m256 int8_as_floats(const std::byte* p) noexcept {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

// Scales, or minimums, of the sixteen rows: at `p` in the block, or at `header` times the integers at `p`.
[[gnu::always_inline]] inline void load_scales(ScaleForm form, const std::byte* p, const std::byte* header,
                                               bool has_codes, __m256& a, __m256& b) noexcept {
    switch (form) {
        case ScaleForm::f16:
            return load_f16(p, a, b);
        case ScaleForm::super:
            load_f16(header, a, b);
            if (has_codes) {
                a = _mm256_mul_ps(a, int8_as_floats(p));
                b = _mm256_mul_ps(b, int8_as_floats(p + 8));
            }
            return;
        case ScaleForm::f32:
            break;
    }
    const auto* f = reinterpret_cast<const float*>(p);
    a = _mm256_loadu_ps(f);
    b = _mm256_loadu_ps(f + 8);
}

[[gnu::always_inline]] inline __m256i load_codes(const std::byte* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Bits of a plane to where they belong: n > 0 moves up, n < 0 down. Bits of the neighbouring byte are masked off after.
[[gnu::always_inline]] inline __m256i moved(__m256i v, int n) noexcept {
    if (n > 0) return _mm256_slli_epi16(v, n);
    return n < 0 ? _mm256_srli_epi16(v, -n) : v;
}

[[gnu::always_inline]] inline __m256i picked(const std::byte* plane, int move, int mask) noexcept {
    return _mm256_and_si256(moved(load_codes(plane), move), _mm256_set1_epi8(static_cast<char>(mask)));
}

// Codes of group g, rows 8 * half to 8 * half + 7, as bytes.
template <Codes kind>
[[gnu::always_inline]] inline __m256i group_codes(const std::byte* w, int g, int half, __m256i table) noexcept {
    w += 32 * half;
    if constexpr (kind == Codes::two || kind == Codes::three) {
        const __m256i low = picked(w + 64 * (g / 4), -2 * (g % 4), 3);
        if constexpr (kind == Codes::two) return low;
        return _mm256_or_si256(low, picked(w + 128, 2 - g, 4));
    } else if constexpr (kind == Codes::four || kind == Codes::five || kind == Codes::six || kind == Codes::table) {
        const __m256i low = picked(w + 64 * (g % 4), g < 4 ? 0 : -4, 15);
        if constexpr (kind == Codes::five) return _mm256_or_si256(low, picked(w + 256, 4 - g, 16));
        if constexpr (kind == Codes::six)
            return _mm256_or_si256(low, picked(w + 256 + 64 * (g / 4), 4 - 2 * (g % 4), 48));
        if constexpr (kind == Codes::table) return _mm256_shuffle_epi8(table, low);
        return low;
    } else {
        return load_codes(w + 64 * g);
    }
}

[[gnu::always_inline]] inline __m256i four_codes(const std::int8_t* a) noexcept {
    int four;
    std::memcpy(&four, a, sizeof four);
    return _mm256_set1_epi32(four);
}

// Left alone, the compiler forms all products first and adds them at the end, with most of them on the stack.
[[gnu::always_inline]] inline void add_now(__m256i& sum) noexcept {
    __asm__("" : "+x"(sum));
}

// The sixteen scales of each half of a block as pairs of 16 bits a row: (first, second).
template <bool is_signed>
[[gnu::always_inline]] inline __m256i half_pairs(const std::byte* p, int half) noexcept {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * half));
    return is_signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}

[[gnu::always_inline]] inline __m256i half_sums(const Rows& x, std::size_t block) noexcept {
    int both;
    std::memcpy(&both, x.half + 2 * block, sizeof both);
    return _mm256_set1_epi32(both);
}

// Blocks [b0, b0 + n) of a panel, of which the first (or the header before it) lies at `panel`, for T rows.
// `from_y`: the chains go on from y. b0 is a multiple of a header's blocks.
template <class Dot, Codes kind, bool halves, int T>
void tile(const Layout& form, const std::byte* panel, const Rows& x, std::size_t t, std::size_t b0, std::size_t n,
          float* y, std::size_t ldy, bool from_y) noexcept {
    __m256 acc[T][2];
#pragma GCC unroll 4
    for (int r = 0; r < T; ++r) {
        const float* row = y + static_cast<std::size_t>(r) * ldy;
        acc[r][0] = from_y ? _mm256_loadu_ps(row) : _mm256_setzero_ps();
        acc[r][1] = from_y ? _mm256_loadu_ps(row + 8) : _mm256_setzero_ps();
    }
    const std::int8_t* a = x.codes + t * x.padded_k + b0 * kQBlock;
    std::size_t at = t * x.n_blocks + b0;
    __m256i table = _mm256_setzero_si256();
    if constexpr (kind == Codes::table)
        table = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(form.table)));
    const std::byte* header = panel;
    for (std::size_t b = 0; b < n; ++b, panel += form.block_bytes, a += kQBlock, ++at) {
        if (form.has_header && b % QPanelForm::kSuperBlocks == 0) {
            header = panel;
            panel += form.header_bytes;
        }
        if constexpr (T <= 2) {
            // One row waits for memory: panels follow each other, so what is needed soon lies ahead.
            for (std::size_t i = 0; i < form.block_bytes; i += 64) prefetch(panel, kPrefetchAhead + i);
        }
        __m256i sum[T][2];
        Dot::template sums<kind, halves, T>(form, panel, x, a, at, table, sum);
        __m256 s0, s1;
        load_scales(form.scales, panel, header, !halves, s0, s1);
#pragma GCC unroll 4
        for (int r = 0; r < T; ++r) {
            const __m256 as = _mm256_broadcast_ss(x.scale + at + static_cast<std::size_t>(r) * x.n_blocks);
            acc[r][0] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][0]), _mm256_mul_ps(s0, as), acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][1]), _mm256_mul_ps(s1, as), acc[r][1]);
        }
        if (form.has_min) {
            __m256 m0, m1;
            load_scales(form.scales, panel + form.mins, header + 32, !form.has_half_min, m0, m1);
            if (halves && form.has_half_min) {
                const __m256i pairs[2] = {half_pairs<false>(panel + form.half_mins, 0),
                                          half_pairs<false>(panel + form.half_mins, 1)};
#pragma GCC unroll 4
                for (int r = 0; r < T; ++r) {
                    const std::size_t i = at + static_cast<std::size_t>(r) * x.n_blocks;
                    const __m256i both = half_sums(x, i);
                    const __m256 as = _mm256_broadcast_ss(x.scale + i);
                    acc[r][0] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(pairs[0], both)),
                                                _mm256_mul_ps(m0, as), acc[r][0]);
                    acc[r][1] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(pairs[1], both)),
                                                _mm256_mul_ps(m1, as), acc[r][1]);
                }
            } else {
#pragma GCC unroll 4
                for (int r = 0; r < T; ++r) {
                    const __m256 fs = _mm256_broadcast_ss(x.fsum + at + static_cast<std::size_t>(r) * x.n_blocks);
                    acc[r][0] = _mm256_fmadd_ps(m0, fs, acc[r][0]);
                    acc[r][1] = _mm256_fmadd_ps(m1, fs, acc[r][1]);
                }
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < T; ++r) {
        _mm256_storeu_ps(y + static_cast<std::size_t>(r) * ldy, acc[r][0]);
        _mm256_storeu_ps(y + static_cast<std::size_t>(r) * ldy + 8, acc[r][1]);
    }
}

// n blocks of a packed panel to bytes and F32: the same panel in a wider form.
template <Codes kind>
void expand(const Layout& in, const std::byte* src, std::size_t n, const Layout& out, std::byte* dst) noexcept {
    __m256i table = _mm256_setzero_si256();
    if constexpr (kind == Codes::table)
        table = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in.table)));
    const std::byte* header = src;
    for (std::size_t b = 0; b < n; ++b, src += in.block_bytes, dst += out.block_bytes) {
        if (in.has_header && b % QPanelForm::kSuperBlocks == 0) {
            header = src;
            src += in.header_bytes;
        }
        __m256 s0, s1;
        load_scales(in.scales, src, header, !in.has_half, s0, s1);
        _mm256_store_ps(reinterpret_cast<float*>(dst), s0);
        _mm256_store_ps(reinterpret_cast<float*>(dst) + 8, s1);
        if (in.has_min) {
            load_scales(in.scales, src + in.mins, header + 32, !in.has_half_min, s0, s1);
            _mm256_store_ps(reinterpret_cast<float*>(dst + out.mins), s0);
            _mm256_store_ps(reinterpret_cast<float*>(dst + out.mins) + 8, s1);
        }
        if (in.has_half) std::memcpy(dst + out.halves, src + in.halves, 32);
        if (in.has_half_min) std::memcpy(dst + out.half_mins, src + in.half_mins, 32);
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g)
#pragma GCC unroll 2
            for (int half = 0; half < 2; ++half)
                _mm256_store_si256(reinterpret_cast<__m256i*>(dst + out.codes + 64 * g + 32 * half),
                                   group_codes<kind>(src + in.codes, g, half, table));
    }
}

template <class Dot, Codes kind, bool halves>
void rows_of_tiles(const Layout& form, const std::byte* panel, const Rows& x, std::size_t T, std::size_t b0,
                   std::size_t n, float* y, std::size_t ldy, bool from_y) noexcept {
    std::size_t t = 0;
    for (; t + Dot::kTile <= T; t += Dot::kTile)
        tile<Dot, kind, halves, Dot::kTile>(form, panel, x, t, b0, n, y + t * ldy, ldy, from_y);
    y += t * ldy;
    switch (T - t) {
        case 3:
            if constexpr (Dot::kTile > 3) tile<Dot, kind, halves, 3>(form, panel, x, t, b0, n, y, ldy, from_y);
            return;
        case 2:
            return tile<Dot, kind, halves, 2>(form, panel, x, t, b0, n, y, ldy, from_y);
        case 1:
            return tile<Dot, kind, halves, 1>(form, panel, x, t, b0, n, y, ldy, from_y);
        default:
            return;
    }
}

// Calls f with the kind as a constant.
template <class Dot, class F>
void with_kind(Codes kind, F&& f) noexcept {
    switch (kind) {
        case Codes::two:
            return f.template operator()<Codes::two>();
        case Codes::three:
            return f.template operator()<Codes::three>();
        case Codes::four:
            return f.template operator()<Codes::four>();
        case Codes::five:
            return f.template operator()<Codes::five>();
        case Codes::six:
            return f.template operator()<Codes::six>();
        case Codes::table:
            return f.template operator()<Codes::table>();
        case Codes::full:
            return f.template operator()<Codes::full>();
        default:
            break;
    }
    if constexpr (Dot::kManyByteKinds) {
        if (kind == Codes::bytes8) return f.template operator()<Codes::bytes8>();
        if (kind == Codes::bytes4) return f.template operator()<Codes::bytes4>();
        return f.template operator()<Codes::bytes2>();
    }
}

template <class Dot>
Codes kind_of_bytes(const QuantForm& f) noexcept {
    if (!Dot::kManyByteKinds || f.table != nullptr) return Codes::full;
    if (f.max_code <= 15) return Codes::bytes8;
    if (f.max_code <= 31) return Codes::bytes4;
    return f.max_code <= 63 ? Codes::bytes2 : Codes::full;
}

template <class Dot>
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
            return kind_of_bytes<Dot>(f);
    }
}

template <class Dot>
void run_blocks(Codes kind, const Layout& form, const std::byte* panel, const Rows& x, std::size_t T, std::size_t b0,
                std::size_t n, float* y, std::size_t ldy, bool from_y) noexcept {
    with_kind<Dot>(kind, [&]<Codes k>() {
        if (form.has_half)
            rows_of_tiles<Dot, k, true>(form, panel, x, T, b0, n, y, ldy, from_y);
        else
            rows_of_tiles<Dot, k, false>(form, panel, x, T, b0, n, y, ldy, from_y);
    });
}

// All sixteen outputs, any number of rows.
template <class Dot>
void whole_panel(const Rows& x, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
                 std::size_t ldy) noexcept {
    const Codes kind = kind_of<Dot>(form.form);
    const Layout layout(form);
    if (T <= Dot::kTile) return run_blocks<Dot>(kind, layout, panel, x, T, 0, x.n_blocks, y, ldy, false);
    // Many rows: what is packed is expanded once, a stretch that stays in the first-level cache.
    const QPanelForm wide = form.expanded();
    const Layout wide_layout(wide);
    const bool expands = form.form.bits != 8 || form.has_header();
    alignas(64) std::byte buffer[kChainBlocks * (512 + 64 + 64 + 32 + 32)];
    for (std::size_t b = 0; b < x.n_blocks; b += kChainBlocks) {
        const std::size_t n = x.n_blocks - b < kChainBlocks ? x.n_blocks - b : kChainBlocks;
        const std::byte* here = panel + (form.has_header() ? form.header_at(b) : form.block_at(b));
        if (expands) {
            with_kind<Dot>(kind, [&]<Codes k>() { expand<k>(layout, here, n, wide_layout, buffer); });
            run_blocks<Dot>(kind_of_bytes<Dot>(form.form), wide_layout, buffer, x, T, b, n, y, ldy, b != 0);
        } else {
            run_blocks<Dot>(kind, layout, here, x, T, b, n, y, ldy, b != 0);
        }
    }
}

template <class Dot>
void any_panel(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
               std::size_t ldy, int n_valid) noexcept {
    if (n_valid == kPanelRows) return whole_panel<Dot>(Rows(x, t0), T, form, panel, y, ldy);
    constexpr std::size_t kRows = 64;
    alignas(64) float whole[kRows * kPanelRows];
    for (std::size_t t = 0; t < T; t += kRows) {
        const std::size_t n = T - t < kRows ? T - t : kRows;
        whole_panel<Dot>(Rows(x, t0 + t), n, form, panel, whole, kPanelRows);
        for (std::size_t r = 0; r < n; ++r)
            std::memcpy(y + (t + r) * ldy, whole + r * kPanelRows, static_cast<std::size_t>(n_valid) * sizeof(float));
    }
}

}  // namespace
}  // namespace freehold::avx2
