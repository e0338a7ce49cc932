// Blocks of quantised panels in 512-bit registers: eight registers of codes (a group of four inputs for sixteen rows
// each) with scales and minimums, taken from the packed forms of kernels.h or from an expanded copy in the first-level
// cache.
#pragma once

#include "freehold/kernels/kernels.h"
#include "lanes.h"
#include "vectors/q8_panel.h"

namespace freehold::avx512 {
namespace {

using vectors::kPrefetchAhead;
using vectors::Layout;

// How codes come. Whatever they are, vpdpbusd takes them as unsigned bytes.
enum class Codes { two, three, four, five, six, table, bytes };

// One block, decoded. What a form does not have stays unset, and nobody reads it.
struct Block {
    __m512i w[8];         // group g: byte 4*row + i is the code of input 4g + i
    __m512 scale, min;    // of the sixteen rows
    __m512 half0, half1;  // sub-scales of the two halves, as floats: what they multiply is below 2^24, so it is exact
    __m512i half_min;     // pairs of 16 bits: sub-minimums of the two halves
};

[[gnu::always_inline]] inline __m512 f16_lanes(const std::byte* p) noexcept {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// Scales, or minimums, of the sixteen rows: at `p` in the block, or at `header` times the integers at `p`.
[[gnu::always_inline]] inline __m512 scale_lanes(ScaleForm form, const std::byte* p, const std::byte* header,
                                                 bool has_codes) noexcept {
    if (form == ScaleForm::f16) return f16_lanes(p);
    if (form == ScaleForm::f32) return _mm512_loadu_ps(p);
    const __m512 common = f16_lanes(header);
    if (!has_codes) return common;
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_mul_ps(common, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)));
}

// Bits of a plane to where they belong: n > 0 moves up, n < 0 down. Bits of the neighbouring byte are masked off after.
[[gnu::always_inline]] inline __m512i moved(__m512i v, int n) noexcept {
    if (n > 0) return _mm512_slli_epi16(v, static_cast<unsigned>(n));
    return n < 0 ? _mm512_srli_epi16(v, static_cast<unsigned>(-n)) : v;
}

// low | (plane moved & mask), the last two in one instruction.
[[gnu::always_inline]] inline __m512i with_bits(__m512i low, const std::byte* plane, int move, int mask) noexcept {
    constexpr int kOrAnd = 0xF8;  // first, or second and third
    return _mm512_ternarylogic_epi32(low, moved(load(plane), move), _mm512_set1_epi8(static_cast<char>(mask)), kOrAnd);
}

template <Codes kind>
[[gnu::always_inline]] inline __m512i group_codes(const std::byte* w, int g, __m512i table) noexcept {
    if constexpr (kind == Codes::bytes) return load(w + 64 * g);
    if constexpr (kind == Codes::two || kind == Codes::three) {
        const __m512i low = _mm512_and_si512(moved(load(w + 64 * (g / 4)), -2 * (g % 4)), _mm512_set1_epi8(3));
        if constexpr (kind == Codes::two) return low;
        return with_bits(low, w + 128, 2 - g, 4);
    } else {
        const __m512i low = _mm512_and_si512(moved(load(w + 64 * (g % 4)), g < 4 ? 0 : -4), _mm512_set1_epi8(15));
        if constexpr (kind == Codes::five) return with_bits(low, w + 256, 4 - g, 16);
        if constexpr (kind == Codes::six) return with_bits(low, w + 256 + 64 * (g / 4), 4 - 2 * (g % 4), 48);
        if constexpr (kind == Codes::table) return _mm512_shuffle_epi8(table, low);
        return low;
    }
}

// Blocks of a panel as it is kept, one after the other; begins at a block that has a header, where there are headers.
template <Codes kind>
struct Packed {
    const Layout& form;
    const std::byte* at;
    const std::byte* header = nullptr;
    __m512i table = _mm512_setzero_si512();
    std::size_t count = 0;

    [[gnu::always_inline]] Packed(const Layout& layout, const std::byte* first) noexcept : form(layout), at(first) {
        if constexpr (kind == Codes::table)
            table = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(form.table)));
    }

    template <bool halves>
    [[gnu::always_inline]] void next(Block& b) noexcept {
        if (form.header_bytes != 0 && count++ % QPanelForm::kSuperBlocks == 0) {
            header = at;
            at += form.header_bytes;
        }
        // Few rows wait for memory: panels follow each other, so what is needed soon lies ahead.
        for (std::size_t i = 0; i < form.block_bytes; i += 64) prefetch(at, kPrefetchAhead + i);
        b.scale = scale_lanes(form.scales, at, header, !halves);
        if (form.has_min) b.min = scale_lanes(form.scales, at + form.mins, header + 32, !form.has_half_min);
        if constexpr (halves) {
            const __m512i pairs =
                _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + form.halves)));
            b.half0 = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(pairs, 16), 16));
            b.half1 = _mm512_cvtepi32_ps(_mm512_srai_epi32(pairs, 16));
            if (form.has_half_min)
                b.half_min =
                    _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + form.half_mins)));
        }
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g) b.w[g] = group_codes<kind>(at + form.codes, g, table);
        at += form.block_bytes;
    }
};

// The same blocks after `expand`: every register of Block as it is, 64 bytes each.
struct Wide {
    const std::byte* at;

    static constexpr std::size_t bytes(bool halves) noexcept { return 64 * (halves ? 13 : 10); }

    template <bool halves>
    [[gnu::always_inline]] void next(Block& b) noexcept {
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g) b.w[g] = load(at + 64 * g);
        b.scale = _mm512_loadu_ps(at + 512);
        b.min = _mm512_loadu_ps(at + 576);
        if constexpr (halves) {
            b.half0 = _mm512_loadu_ps(at + 640);
            b.half1 = _mm512_loadu_ps(at + 704);
            b.half_min = load(at + 768);
        }
        at += bytes(halves);
    }
};

// n blocks into `to`, 64-byte aligned, Wide::bytes(halves) each.
template <Codes kind, bool halves>
void expand(const Layout& form, const std::byte* panel, std::size_t n, std::byte* to) noexcept {
    Packed<kind> source(form, panel);
    for (std::size_t i = 0; i < n; ++i, to += Wide::bytes(halves)) {
        Block b;
        b.min = _mm512_setzero_ps();
        b.half_min = _mm512_setzero_si512();
        source.template next<halves>(b);
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g) _mm512_store_si512(to + 64 * g, b.w[g]);
        _mm512_store_ps(to + 512, b.scale);
        _mm512_store_ps(to + 576, b.min);
        if constexpr (halves) {
            _mm512_store_ps(to + 640, b.half0);
            _mm512_store_ps(to + 704, b.half1);
            _mm512_store_si512(to + 768, b.half_min);
        }
    }
}

}  // namespace
}  // namespace freehold::avx512
