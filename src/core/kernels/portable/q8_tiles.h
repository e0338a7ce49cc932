// Quantised panels times q8 activations in 128-bit vectors: tiles of a few rows and sixteen or eight outputs. `Dot`
// says how codes meet activations: portable/products_q8.cpp by 16-bit products, portable/products_q8_dot.cpp by sdot.
//
// A Dot has: template <Codes kind, int G0, int N, int T, int V> static void sums(w, a, lda, table, sum), the integers
// sum[t][v] = codes of four outputs times activations of row t, over the groups [G0, G0 + N). Codes stand for
// themselves, or (is_signed) for themselves less 128, so that any byte is an int8.
#pragma once

#include <utility>

#include "freehold/kernels/kernels.h"
#include "portable/lanes.h"
#include "vectors/q8_panel.h"

namespace freehold::portable {
namespace {

using vectors::kPrefetchAhead;
using vectors::Layout;
using vectors::Rows;

constexpr std::size_t kChainBlocks = 32;  // blocks of a panel that are kept expanded in the first-level cache
constexpr int kQ8TileRows = 4;
// Vectors of four outputs that a tile of T rows works on: several rows of sixteen outputs would need more registers for
// their chains and integers than there are, so they see a panel twice, half of it each time.
template <int T>
constexpr int kVectors = T == 1 ? 4 : 2;

enum class Codes {
    two,
    three,
    four,
    five,
    six,
    table,    // nibbles that stand for bytes
    bytes31,  // one byte, at most 31
    bytes63,  // at most 63
    full,     // any byte
};

constexpr bool is_signed(Codes kind) noexcept {
    return kind == Codes::table || kind == Codes::full;
}

// Calls f with each of 0 .. N-1 as a constant: shifts want constants.
template <int N, class F>
[[gnu::always_inline]] inline void for_each_constant(F&& f) noexcept {
    [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
        (f.template operator()<i>(), ...);
    }
    (std::make_integer_sequence<int, N>());
}

// Scales, or minimums, of outputs [4v, 4v + 4): at `p` in the block, or at `header` times the integers at `p`.
[[gnu::always_inline]] inline VF load_scales(ScaleForm form, const std::byte* p, const std::byte* header,
                                             bool has_codes, std::size_t v) noexcept {
    if (form == ScaleForm::f32) return load(reinterpret_cast<const float*>(p) + kLanes * v);
    if (form == ScaleForm::f16) return load_f16(p + 2 * kLanes * v);
    const VF scale = load_f16(header + 2 * kLanes * v);
    return has_codes ? hn::Mul(scale, hn::ConvertTo(DF(), load_int8(p + kLanes * v))) : scale;
}

// Bits of a plane to where they belong: n > 0 moves up, n < 0 down, inside of their bytes.
template <int n>
[[gnu::always_inline]] inline VU8 moved(VU8 v) noexcept {
    if constexpr (n > 0)
        return hn::ShiftLeft<n>(v);
    else if constexpr (n < 0)
        return hn::ShiftRight<-n>(v);
    else
        return v;
}

template <int move, int mask>
[[gnu::always_inline]] inline VU8 picked(const std::byte* plane) noexcept {
    const VU8 v = moved<move>(hn::LoadU(DU8(), reinterpret_cast<const std::uint8_t*>(plane)));
    if constexpr (mask == 15 && move == -4)
        return v;
    else
        return hn::And(v, hn::Set(DU8(), static_cast<std::uint8_t>(mask)));
}

// Codes of group g, sixteen bytes of each plane from `w` on, as unsigned bytes.
template <Codes kind, int g>
[[gnu::always_inline]] inline VU8 group_codes(const std::byte* w, VU8 table) noexcept {
    if constexpr (kind == Codes::two || kind == Codes::three) {
        const VU8 low = picked<-2 * (g % 4), 3>(w + 64 * (g / 4));
        if constexpr (kind == Codes::two)
            return low;
        else
            return hn::Or(low, picked<2 - g, 4>(w + 128));
    } else if constexpr (kind == Codes::four || kind == Codes::five || kind == Codes::six || kind == Codes::table) {
        const VU8 low = picked<(g < 4 ? 0 : -4), 15>(w + 64 * (g % 4));
        if constexpr (kind == Codes::five)
            return hn::Or(low, picked<4 - g, 16>(w + 256));
        else if constexpr (kind == Codes::six)
            return hn::Or(low, picked<4 - 2 * (g % 4), 48>(w + 256 + 64 * (g / 4)));
        else if constexpr (kind == Codes::table)
            return hn::TableLookupBytes(table, low);
        else
            return low;
    } else {
        return hn::LoadU(DU8(), reinterpret_cast<const std::uint8_t*>(w + 64 * g));
    }
}

template <Codes kind, int g>
[[gnu::always_inline]] inline VI8 signed_codes(const std::byte* w, VU8 table) noexcept {
    const VU8 codes = group_codes<kind, g>(w, table);
    return hn::BitCast(DI8(), is_signed(kind) ? hn::Xor(codes, hn::Set(DU8(), 0x80)) : codes);
}

// A plane serves groups far apart. Left alone, the compiler loads it once and keeps it, with everything else on the
// stack in its place; after this it loads it again.
[[gnu::always_inline]] inline void load_again() noexcept {
    __asm__ volatile("" ::: "memory");
}

[[gnu::always_inline]] inline VI8 four_codes(const std::int8_t* a) noexcept {
    std::int32_t four;
    std::memcpy(&four, a, sizeof four);
    return hn::BitCast(DI8(), hn::Set(DI(), four));
}

[[gnu::always_inline]] inline VU8 load_table(const std::uint8_t* table) noexcept {
    return table != nullptr ? hn::LoadU(DU8(), table) : hn::Zero(DU8());
}

// The first or the second of the pairs of bytes of four outputs, as 32 bits.
template <int which, bool is_signed_byte>
[[gnu::always_inline]] inline VI half_numbers(const std::byte* pairs) noexcept {
    using Byte = std::conditional_t<is_signed_byte, std::int8_t, std::uint8_t>;
    const hn::FixedTag<Byte, 8> bytes;
    const VI both = hn::BitCast(
        DI(), hn::PromoteTo(hn::FixedTag<std::int16_t, 8>(), hn::LoadU(bytes, reinterpret_cast<const Byte*>(pairs))));
    return hn::ShiftRight<16>(which == 0 ? hn::ShiftLeft<16>(both) : both);
}

// The integers of rule 4 for T rows and V vectors of outputs.
template <class Dot, Codes kind, bool halves, int T, int V>
[[gnu::always_inline]] inline void block_sums(const Layout& form, const std::byte* block, const Rows& x,
                                              const std::int8_t* a, std::size_t at, std::size_t v0, VU8 table,
                                              VI (&sum)[T][V]) noexcept {
    const std::byte* w = block + form.codes + 16 * v0;
    const std::int32_t zero = is_signed(kind) ? form.zero - 128 : form.zero;
    if constexpr (halves) {
        // Four outputs at a time: two integers each beside the chains fill the registers.
#pragma GCC unroll 4
        for (std::size_t v = 0; v < V; ++v) {
            const std::byte* pairs = block + form.halves + 2 * kLanes * (v0 + v);
            VI first[T][1], second[T][1];
            load_again();
            Dot::template sums<kind, 0, 4, T, 1>(w + 16 * v, a, x.padded_k, table, first);
            const VI h0 = half_numbers<0, true>(pairs);
#pragma GCC unroll 4
            for (std::size_t r = 0; r < T; ++r) {
                const std::int32_t z = zero * x.half[2 * (at + r * x.n_blocks)];
                first[r][0] = hn::Mul(h0, hn::Sub(first[r][0], hn::Set(DI(), z)));
            }
            load_again();
            Dot::template sums<kind, 4, 4, T, 1>(w + 16 * v, a, x.padded_k, table, second);
            const VI h1 = half_numbers<1, true>(pairs);
#pragma GCC unroll 4
            for (std::size_t r = 0; r < T; ++r) {
                const std::int32_t z = zero * x.half[2 * (at + r * x.n_blocks) + 1];
                sum[r][v] = hn::Add(first[r][0], hn::Mul(h1, hn::Sub(second[r][0], hn::Set(DI(), z))));
            }
        }
    } else {
        Dot::template sums<kind, 0, 8, T, V>(w, a, x.padded_k, table, sum);
        if (zero == 0) return;
#pragma GCC unroll 4
        for (std::size_t r = 0; r < T; ++r) {
            const VI z = hn::Set(DI(), zero * x.sum[at + r * x.n_blocks]);
#pragma GCC unroll 4
            for (std::size_t v = 0; v < V; ++v) sum[r][v] = hn::Sub(sum[r][v], z);
        }
    }
}

// What a minimum adds to the chains of T rows.
template <bool halves, int T, int V>
[[gnu::always_inline]] inline void add_minimums(const Layout& form, const std::byte* block, const std::byte* header,
                                                const Rows& x, std::size_t at, std::size_t v0,
                                                VF (&acc)[T][V]) noexcept {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < V; ++v) {
        const VF m = load_scales(form.scales, block + form.mins, header + 32, !form.has_half_min, v0 + v);
        if (halves && form.has_half_min) {
            const std::byte* pairs = block + form.half_mins + 2 * kLanes * (v0 + v);
            const VI h0 = half_numbers<0, false>(pairs), h1 = half_numbers<1, false>(pairs);
#pragma GCC unroll 4
            for (std::size_t r = 0; r < T; ++r) {
                const std::size_t i = at + r * x.n_blocks;
                const VI sum = hn::Add(hn::Mul(h0, hn::Set(DI(), std::int32_t{x.half[2 * i]})),
                                       hn::Mul(h1, hn::Set(DI(), std::int32_t{x.half[2 * i + 1]})));
                acc[r][v] = hn::MulAdd(hn::ConvertTo(DF(), sum), hn::Mul(m, broadcast(x.scale[i])), acc[r][v]);
            }
        } else {
#pragma GCC unroll 4
            for (std::size_t r = 0; r < T; ++r)
                acc[r][v] = hn::MulAdd(m, broadcast(x.fsum[at + r * x.n_blocks]), acc[r][v]);
        }
    }
}

// Blocks [b0, b0 + n) of a panel, of which the first (or the header before it) lies at `panel`, for T rows and the
// outputs from 4 * v0 on. `from_y`: the chains go on from y. b0 is a multiple of a header's blocks.
template <class Dot, Codes kind, bool halves, int T>
void tile(const Layout& form, const std::byte* panel, const Rows& x, std::size_t t, std::size_t b0, std::size_t n,
          std::size_t v0, float* y, std::size_t ldy, bool from_y) noexcept {
    constexpr int V = kVectors<T>;
    VF acc[T][V];
    y += kLanes * v0;
#pragma GCC unroll 4
    for (std::size_t r = 0; r < T; ++r)
#pragma GCC unroll 4
        for (std::size_t v = 0; v < V; ++v) acc[r][v] = from_y ? load(y + r * ldy + kLanes * v) : hn::Zero(DF());
    const std::int8_t* a = x.codes + t * x.padded_k + b0 * kQBlock;
    std::size_t at = t * x.n_blocks + b0;
    VU8 table = hn::Zero(DU8());
    if constexpr (kind == Codes::table) table = load_table(form.table);
    const std::byte* header = panel;
    for (std::size_t b = 0; b < n; ++b, panel += form.block_bytes, a += kQBlock, ++at) {
        if (form.has_header && b % QPanelForm::kSuperBlocks == 0) {
            header = panel;
            panel += form.header_bytes;
        }
        if constexpr (T == 1) {
            // One row waits for memory: panels follow each other, so what is needed soon lies ahead.
            for (std::size_t i = 0; i < form.block_bytes; i += 64) prefetch(panel, kPrefetchAhead + i);
        }
        VI sum[T][V];
        block_sums<Dot, kind, halves, T, V>(form, panel, x, a, at, v0, table, sum);
#pragma GCC unroll 4
        for (std::size_t v = 0; v < V; ++v) {
            const VF s = load_scales(form.scales, panel, header, !halves, v0 + v);
#pragma GCC unroll 4
            for (std::size_t r = 0; r < T; ++r)
                acc[r][v] = hn::MulAdd(hn::ConvertTo(DF(), sum[r][v]),
                                       hn::Mul(s, broadcast(x.scale[at + r * x.n_blocks])), acc[r][v]);
        }
        if (form.has_min) add_minimums<halves>(form, panel, header, x, at, v0, acc);
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < T; ++r)
#pragma GCC unroll 4
        for (std::size_t v = 0; v < V; ++v) store(acc[r][v], y + r * ldy + kLanes * v);
}

// n blocks of a packed panel to bytes and F32: the same panel in a wider form.
template <Codes kind>
void expand(const Layout& in, const std::byte* src, std::size_t n, const Layout& out, std::byte* dst) noexcept {
    VU8 table = hn::Zero(DU8());
    if constexpr (kind == Codes::table) table = load_table(in.table);
    const std::byte* header = src;
    for (std::size_t b = 0; b < n; ++b, src += in.block_bytes, dst += out.block_bytes) {
        if (in.has_header && b % QPanelForm::kSuperBlocks == 0) {
            header = src;
            src += in.header_bytes;
        }
        for (std::size_t v = 0; v < 4; ++v) {
            store(load_scales(in.scales, src, header, !in.has_half, v), reinterpret_cast<float*>(dst) + kLanes * v);
            if (in.has_min)
                store(load_scales(in.scales, src + in.mins, header + 32, !in.has_half_min, v),
                      reinterpret_cast<float*>(dst + out.mins) + kLanes * v);
        }
        if (in.has_half) std::memcpy(dst + out.halves, src + in.halves, 32);
        if (in.has_half_min) std::memcpy(dst + out.half_mins, src + in.half_mins, 32);
        for_each_constant<8>([&]<int g>() __attribute__((always_inline)) {
#pragma GCC unroll 4
            for (std::size_t v = 0; v < 4; ++v)
                hn::StoreU(group_codes<kind, g>(src + in.codes + 16 * v, table), DU8(),
                           reinterpret_cast<std::uint8_t*>(dst + out.codes + 64 * g + 16 * v));
        });
    }
}

template <class Dot, Codes kind, bool halves>
void rows_of_tiles(const Layout& form, const std::byte* panel, const Rows& x, std::size_t T, std::size_t b0,
                   std::size_t n, float* y, std::size_t ldy, bool from_y) noexcept {
    const auto run = [&]<int R>(std::size_t t) {
        for (std::size_t v0 = 0; v0 < 4; v0 += kVectors<R>)
            tile<Dot, kind, halves, R>(form, panel, x, t, b0, n, v0, y + t * ldy, ldy, from_y);
    };
    std::size_t t = 0;
    for (; t + kQ8TileRows <= T; t += kQ8TileRows) run.template operator()<kQ8TileRows>(t);
    switch (T - t) {
        case 3:
            return run.template operator()<3>(t);
        case 2:
            return run.template operator()<2>(t);
        case 1:
            return run.template operator()<1>(t);
        default:
            return;
    }
}

// Calls f with the kind as a constant.
template <class F>
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
        case Codes::bytes31:
            return f.template operator()<Codes::bytes31>();
        case Codes::bytes63:
            return f.template operator()<Codes::bytes63>();
        case Codes::full:
            return f.template operator()<Codes::full>();
    }
}

inline Codes kind_of_bytes(const QuantForm& f) noexcept {
    if (f.table != nullptr || f.max_code > 63) return Codes::full;
    return f.max_code > 31 ? Codes::bytes63 : Codes::bytes31;
}

inline Codes kind_of(const QuantForm& f) noexcept {
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
            return kind_of_bytes(f);
    }
}

template <class Dot>
void run_blocks(Codes kind, const Layout& form, const std::byte* panel, const Rows& x, std::size_t T, std::size_t b0,
                std::size_t n, float* y, std::size_t ldy, bool from_y) noexcept {
    with_kind(kind, [&]<Codes k>() {
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
    const Codes kind = kind_of(form.form);
    const Layout layout(form);
    if (T <= kQ8TileRows) return run_blocks<Dot>(kind, layout, panel, x, T, 0, x.n_blocks, y, ldy, false);
    // Many rows: what is packed is expanded once, a stretch that stays in the first-level cache.
    const QPanelForm wide = form.expanded();
    const Layout wide_layout(wide);
    const bool expands = form.form.bits != 8 || form.has_header();
    alignas(64) std::byte buffer[kChainBlocks * (512 + 64 + 64 + 32 + 32)];
    for (std::size_t b = 0; b < x.n_blocks; b += kChainBlocks) {
        const std::size_t n = x.n_blocks - b < kChainBlocks ? x.n_blocks - b : kChainBlocks;
        const std::byte* here = panel + (form.has_header() ? form.header_at(b) : form.block_at(b));
        if (expands) {
            with_kind(kind, [&]<Codes k>() { expand<k>(layout, here, n, wide_layout, buffer); });
            run_blocks<Dot>(kind_of_bytes(form.form), wide_layout, buffer, x, T, b, n, y, ldy, b != 0);
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
}  // namespace freehold::portable
