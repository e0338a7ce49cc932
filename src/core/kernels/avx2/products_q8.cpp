// Quantised panels times q8 activations on AVX2 without VNNI: pairs by vpmaddubsw, added in 16 bits as far as the
// codes allow (docs/numerics.md), then widened. Tiles of up to four rows and sixteen outputs.
#include <cstring>

#include "lanes.h"
#include "table.h"

namespace freehold::avx2 {
namespace {

constexpr int kTile = 4;                  // rows of a tile
constexpr std::size_t kChainBlocks = 32;  // blocks of a panel that are kept expanded in the first-level cache
constexpr std::size_t kExpandFrom = 8;    // rows from which on expanding nibbles once pays

constexpr std::size_t kPrefetchAhead = 4096;  // bytes

// How codes come and how many products of codes may be added in 16 bits before they are widened.
enum class Codes {
    nibbles,  // packed 4-bit: all 8 groups, 8 * 2 * 15 * 127 = 30480
    bytes8,   // one byte, at most 15: all 8 groups
    bytes4,   // at most 31: 4 groups, 31496
    bytes2,   // at most 63: 2 groups, 32004
    full,     // any byte: taken as signed about 128, |w| times a with the sign of w, 32512 for one group
};

struct Layout {
    std::size_t block_bytes, mins, halves, codes;
    bool f16, has_min;
    int zero;

    explicit Layout(const QPanelForm& f) noexcept
        : block_bytes(f.block_bytes()),
          mins(f.scale_bytes()),
          halves(mins + f.min_bytes()),
          codes(halves + f.half_bytes()),
          f16(f.form.f16_scale),
          has_min(f.form.has_min),
          zero(f.form.zero) {}
};

struct Rows {
    const std::int8_t* codes;
    const float* scale;
    const std::int32_t* sum;
    const std::int16_t* half;
    const float* fsum;
    std::size_t padded_k, n_blocks;

    Rows(const Q8Rows& x, std::size_t t) noexcept
        : codes(x.codes + t * x.padded_k),
          scale(x.scale + t * (x.padded_k / kQBlock)),
          sum(x.sum + t * (x.padded_k / kQBlock)),
          half(x.half + 2 * t * (x.padded_k / kQBlock)),
          fsum(x.fsum + t * (x.padded_k / kQBlock)),
          padded_k(x.padded_k),
          n_blocks(x.padded_k / kQBlock) {}
};

[[gnu::always_inline]] inline void load16(bool f16, const std::byte* p, __m256& a, __m256& b) noexcept {
    if (f16) {
        const auto* h = reinterpret_cast<const __m128i*>(p);
        a = _mm256_cvtph_ps(_mm_loadu_si128(h));
        b = _mm256_cvtph_ps(_mm_loadu_si128(h + 1));
    } else {
        const auto* f = reinterpret_cast<const float*>(p);
        a = _mm256_loadu_ps(f);
        b = _mm256_loadu_ps(f + 8);
    }
}

[[gnu::always_inline]] inline __m256i load_codes(const std::byte* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
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

// Integer sums of codes times activations over groups [G0, G0 + N) for T rows; w: the codes of this block.
template <Codes kind, int T, int G0, int N>
[[gnu::always_inline]] inline void integer_sums(const std::byte* w, const std::int8_t* a, std::size_t lda,
                                                __m256i (&sum)[T][2]) noexcept {
    const __m256i ones = _mm256_set1_epi16(1);
    if constexpr (kind == Codes::full) {
#pragma GCC unroll 8
        for (int g = G0; g < G0 + N; ++g)
#pragma GCC unroll 2
            for (int half = 0; half < 2; ++half) {
                const __m256i s =
                    _mm256_xor_si256(load_codes(w + 64 * g + 32 * half), _mm256_set1_epi8(static_cast<char>(0x80)));
                const __m256i magnitude = _mm256_abs_epi8(s);
#pragma GCC unroll 4
                for (int t = 0; t < T; ++t) {
                    const __m256i b = four_codes(a + static_cast<std::size_t>(t) * lda + 4 * g);
                    const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(b, s));
                    const __m256i four = _mm256_madd_epi16(pairs, ones);
                    sum[t][half] = g == G0 ? four : _mm256_add_epi32(sum[t][half], four);
                    add_now(sum[t][half]);
                }
            }
        return;
    }
    constexpr int kAdd = kind == Codes::bytes4 ? 4 : (kind == Codes::bytes2 ? 2 : 8);
    __m256i pairs[T][2];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
        const int g = G0 + i;
        __m256i w0, w1;
        if constexpr (kind == Codes::nibbles) {
            const __m256i low = _mm256_set1_epi8(15);
            w0 = load_codes(w + 64 * (g % 4));
            w1 = load_codes(w + 64 * (g % 4) + 32);
            if (g >= 4) {
                w0 = _mm256_srli_epi16(w0, 4);
                w1 = _mm256_srli_epi16(w1, 4);
            }
            w0 = _mm256_and_si256(w0, low);
            w1 = _mm256_and_si256(w1, low);
        } else {
            w0 = load_codes(w + 64 * g);
            w1 = load_codes(w + 64 * g + 32);
        }
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
                    const __m256i four = _mm256_madd_epi16(pairs[t][half], ones);
                    sum[t][half] = i < kAdd ? four : _mm256_add_epi32(sum[t][half], four);
                }
    }
}

// Blocks [b0, b0 + n) of a panel whose first of them lies at `panel`, for T rows. `from_y`: the chains go on from y.
template <Codes kind, bool halves, int T>
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
    // The signed form is about 128 already; what is left of the offset is taken from the sums of the activations.
    const __m256i zero = _mm256_set1_epi32(kind == Codes::full ? form.zero - 128 : form.zero);
    const bool has_zero = kind == Codes::full ? form.zero != 128 : form.zero != 0;
    for (std::size_t b = 0; b < n; ++b, panel += form.block_bytes, a += kQBlock, ++at) {
        const std::byte* w = panel + form.codes;
        if constexpr (T <= 2) {
            // One row waits for memory: panels follow each other, so what is needed soon lies ahead.
            for (std::size_t i = 0; i < form.block_bytes; i += 64) prefetch(panel, kPrefetchAhead + i);
        }
        __m256 value[T][2];
        if constexpr (halves) {
            __m256i first[T][2], second[T][2];
            integer_sums<kind, T, 0, 4>(w, a, x.padded_k, first);
            integer_sums<kind, T, 4, 4>(w, a, x.padded_k, second);
            __m256i h0[2], h1[2];
            for (int half = 0; half < 2; ++half) {
                const __m256i both = _mm256_cvtepi8_epi16(
                    _mm_loadu_si128(reinterpret_cast<const __m128i*>(panel + form.halves + 16 * half)));
                h0[half] = _mm256_srai_epi32(_mm256_slli_epi32(both, 16), 16);
                h1[half] = _mm256_srai_epi32(both, 16);
            }
#pragma GCC unroll 4
            for (int r = 0; r < T; ++r) {
                const std::size_t i = 2 * (at + static_cast<std::size_t>(r) * x.n_blocks);
                const __m256i z0 = _mm256_mullo_epi32(zero, _mm256_set1_epi32(x.half[i]));
                const __m256i z1 = _mm256_mullo_epi32(zero, _mm256_set1_epi32(x.half[i + 1]));
#pragma GCC unroll 2
                for (int half = 0; half < 2; ++half) {
                    const __m256i u0 = _mm256_mullo_epi32(h0[half], _mm256_sub_epi32(first[r][half], z0));
                    const __m256i u1 = _mm256_mullo_epi32(h1[half], _mm256_sub_epi32(second[r][half], z1));
                    value[r][half] = _mm256_cvtepi32_ps(_mm256_add_epi32(u0, u1));
                }
            }
        } else {
            __m256i sum[T][2];
            integer_sums<kind, T, 0, 8>(w, a, x.padded_k, sum);
            if (has_zero) {
#pragma GCC unroll 4
                for (int r = 0; r < T; ++r) {
                    const __m256i z = _mm256_mullo_epi32(
                        zero, _mm256_set1_epi32(x.sum[at + static_cast<std::size_t>(r) * x.n_blocks]));
                    sum[r][0] = _mm256_sub_epi32(sum[r][0], z);
                    sum[r][1] = _mm256_sub_epi32(sum[r][1], z);
                }
            }
#pragma GCC unroll 4
            for (int r = 0; r < T; ++r) {
                value[r][0] = _mm256_cvtepi32_ps(sum[r][0]);
                value[r][1] = _mm256_cvtepi32_ps(sum[r][1]);
            }
        }
        __m256 s0, s1;
        load16(form.f16, panel, s0, s1);
#pragma GCC unroll 4
        for (int r = 0; r < T; ++r) {
            const __m256 as = _mm256_broadcast_ss(x.scale + at + static_cast<std::size_t>(r) * x.n_blocks);
            acc[r][0] = _mm256_fmadd_ps(value[r][0], _mm256_mul_ps(s0, as), acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(value[r][1], _mm256_mul_ps(s1, as), acc[r][1]);
        }
        if (form.has_min) {
            __m256 m0, m1;
            load16(form.f16, panel + form.mins, m0, m1);
#pragma GCC unroll 4
            for (int r = 0; r < T; ++r) {
                const __m256 fs = _mm256_broadcast_ss(x.fsum + at + static_cast<std::size_t>(r) * x.n_blocks);
                acc[r][0] = _mm256_fmadd_ps(m0, fs, acc[r][0]);
                acc[r][1] = _mm256_fmadd_ps(m1, fs, acc[r][1]);
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < T; ++r) {
        _mm256_storeu_ps(y + static_cast<std::size_t>(r) * ldy, acc[r][0]);
        _mm256_storeu_ps(y + static_cast<std::size_t>(r) * ldy + 8, acc[r][1]);
    }
}

// Nibbles to bytes and F16 to F32, n blocks: the same panel in a wider form.
void expand(const QPanelForm& from, const std::byte* src, std::size_t n, const QPanelForm& to,
            std::byte* dst) noexcept {
    const Layout in(from), out(to);
    const __m256i low = _mm256_set1_epi8(15);
    for (std::size_t b = 0; b < n; ++b, src += in.block_bytes, dst += out.block_bytes) {
        __m256 s0, s1;
        load16(in.f16, src, s0, s1);
        _mm256_store_ps(reinterpret_cast<float*>(dst), s0);
        _mm256_store_ps(reinterpret_cast<float*>(dst) + 8, s1);
        if (in.has_min) {
            load16(in.f16, src + in.mins, s0, s1);
            _mm256_store_ps(reinterpret_cast<float*>(dst + out.mins), s0);
            _mm256_store_ps(reinterpret_cast<float*>(dst + out.mins) + 8, s1);
        }
        std::memcpy(dst + out.halves, src + in.halves, to.half_bytes());
        for (int i = 0; i < 8; ++i) {
            const __m256i both = load_codes(src + in.codes + 32 * i);
            auto* codes = reinterpret_cast<__m256i*>(dst + out.codes + 32 * i);
            _mm256_store_si256(codes, _mm256_and_si256(both, low));
            _mm256_store_si256(codes + 8, _mm256_and_si256(_mm256_srli_epi16(both, 4), low));
        }
    }
}

template <Codes kind, bool halves>
void rows_of_tiles(const Layout& form, const std::byte* panel, const Rows& x, std::size_t T, std::size_t b0,
                   std::size_t n, float* y, std::size_t ldy, bool from_y) noexcept {
    std::size_t t = 0;
    for (; t + kTile <= T; t += kTile) tile<kind, halves, kTile>(form, panel, x, t, b0, n, y + t * ldy, ldy, from_y);
    y += t * ldy;
    switch (T - t) {
        case 3:
            return tile<kind, halves, 3>(form, panel, x, t, b0, n, y, ldy, from_y);
        case 2:
            return tile<kind, halves, 2>(form, panel, x, t, b0, n, y, ldy, from_y);
        case 1:
            return tile<kind, halves, 1>(form, panel, x, t, b0, n, y, ldy, from_y);
        default:
            return;
    }
}

template <bool halves>
void by_kind(Codes kind, const Layout& form, const std::byte* panel, const Rows& x, std::size_t T, std::size_t b0,
             std::size_t n, float* y, std::size_t ldy, bool from_y) noexcept {
    switch (kind) {
        case Codes::nibbles:
            return rows_of_tiles<Codes::nibbles, halves>(form, panel, x, T, b0, n, y, ldy, from_y);
        case Codes::bytes8:
            return rows_of_tiles<Codes::bytes8, halves>(form, panel, x, T, b0, n, y, ldy, from_y);
        case Codes::bytes4:
            return rows_of_tiles<Codes::bytes4, halves>(form, panel, x, T, b0, n, y, ldy, from_y);
        case Codes::bytes2:
            return rows_of_tiles<Codes::bytes2, halves>(form, panel, x, T, b0, n, y, ldy, from_y);
        case Codes::full:
            return rows_of_tiles<Codes::full, halves>(form, panel, x, T, b0, n, y, ldy, from_y);
    }
}

Codes kind_of(const QuantForm& f) noexcept {
    if (f.bits == 4) return Codes::nibbles;
    if (f.max_code <= 15) return Codes::bytes8;
    if (f.max_code <= 31) return Codes::bytes4;
    if (f.max_code <= 63) return Codes::bytes2;
    return Codes::full;
}

// All sixteen outputs, any number of rows.
void whole_panel(const Rows& x, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
                 std::size_t ldy) noexcept {
    const Codes kind = kind_of(form.form);
    const Layout layout(form);
    const auto run = [&](Codes k, const Layout& l, const std::byte* p, std::size_t b0, std::size_t n, bool from_y) {
        if (form.form.has_half)
            by_kind<true>(k, l, p, x, T, b0, n, y, ldy, from_y);
        else
            by_kind<false>(k, l, p, x, T, b0, n, y, ldy, from_y);
    };
    if (T <= kTile) return run(kind, layout, panel, 0, x.n_blocks, false);
    QPanelForm wide = form;
    wide.form.bits = 8;
    wide.form.f16_scale = false;
    const Layout wide_layout(wide);
    const bool expands = kind == Codes::nibbles && T >= kExpandFrom;
    alignas(64) std::byte buffer[kChainBlocks * (512 + 64 + 64 + 32)];
    for (std::size_t b = 0; b < x.n_blocks; b += kChainBlocks) {
        const std::size_t n = x.n_blocks - b < kChainBlocks ? x.n_blocks - b : kChainBlocks;
        const std::byte* here = panel + b * layout.block_bytes;
        if (expands) {
            expand(form, here, n, wide, buffer);
            run(Codes::bytes8, wide_layout, buffer, b, n, b != 0);
        } else {
            run(kind, layout, here, b, n, b != 0);
        }
    }
}

}  // namespace

void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid) {
    if (n_valid == kPanelRows) return whole_panel(Rows(x, t0), T, form, panel, y, ldy);
    constexpr std::size_t kRows = 64;
    alignas(64) float whole[kRows * kPanelRows];
    for (std::size_t t = 0; t < T; t += kRows) {
        const std::size_t n = T - t < kRows ? T - t : kRows;
        whole_panel(Rows(x, t0 + t), n, form, panel, whole, kPanelRows);
        for (std::size_t r = 0; r < n; ++r)
            std::memcpy(y + (t + r) * ldy, whole + r * kPanelRows, static_cast<std::size_t>(n_valid) * sizeof(float));
    }
}

}  // namespace freehold::avx2
