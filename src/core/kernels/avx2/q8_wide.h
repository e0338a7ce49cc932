// Many rows times panels whose codes fill a byte (Q8_0, and nibbles that stand for bytes) on AVX2 without VNNI: codes
// and activations in 16 bits, two products and a sum by one vpmaddwd, so that no sign has to be moved.
#pragma once

#include <algorithm>

#include "avx2/q8_pairs.h"

namespace freehold::avx2 {
namespace {

constexpr std::size_t kWideBlocks = 16;              // blocks that are kept expanded: 17 KB of the first-level cache
constexpr std::size_t kWideCodes = 2 * 512;          // bytes of a block's codes
constexpr std::size_t kWideBytes = 64 + kWideCodes;  // sixteen scales in F32 before them

// n blocks to scales and codes: pair p of a block's inputs, (2p, 2p + 1), for all sixteen outputs.
template <Codes kind>
void widen_blocks(const Layout& in, const std::byte* src, std::size_t n, std::byte* dst) noexcept {
    __m256i table = _mm256_setzero_si256();
    if constexpr (kind == Codes::table)
        table = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in.table)));
    // Four bytes of an output lie together: the first two, or the last, go to the upper halves of 16 bits.
    constexpr char kNone = -1;
    const __m256i first = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(kNone, 0, kNone, 1, kNone, 4, kNone, 5, kNone, 8, kNone, 9, kNone, 12, kNone, 13));
    const __m256i second = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(kNone, 2, kNone, 3, kNone, 6, kNone, 7, kNone, 10, kNone, 11, kNone, 14, kNone, 15));
    const __m256i top = _mm256_set1_epi8(static_cast<char>(0x80));
    const std::byte* header = src;
    for (std::size_t b = 0; b < n; ++b, src += in.block_bytes, dst += kWideBytes) {
        if (in.has_header && b % QPanelForm::kSuperBlocks == 0) {
            header = src;
            src += in.header_bytes;
        }
        __m256 s0, s1;
        load_scales(in.scales, src, header, true, s0, s1);
        _mm256_store_ps(reinterpret_cast<float*>(dst), s0);
        _mm256_store_ps(reinterpret_cast<float*>(dst) + 8, s1);
        std::byte* out = dst + 64;
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g, out += 128)
#pragma GCC unroll 2
            for (int half = 0; half < 2; ++half) {
                const __m256i w = _mm256_xor_si256(group_codes<kind>(src + in.codes, g, half, table), top);
                auto* const at = reinterpret_cast<__m256i*>(out + 32 * half);
                _mm256_store_si256(at, _mm256_srai_epi16(_mm256_shuffle_epi8(w, first), 8));
                _mm256_store_si256(at + 2, _mm256_srai_epi16(_mm256_shuffle_epi8(w, second), 8));
            }
    }
}

// Two activations in every lane.
[[gnu::always_inline]] inline __m256i two_codes(const std::int16_t* a) noexcept {
    int both;
    std::memcpy(&both, a, sizeof both);
    __m256i v = _mm256_set1_epi32(both);
    add_now(v);  // once for both halves of the outputs
    return v;
}

// n widened blocks for T rows from t on. kLines lines of what lies at `ahead` are asked for with each block.
// Not inlined: among its own kind the compiler runs out of registers.
template <int T, int kLines>
[[gnu::noinline]] void wide_tile(const std::byte* panel, const Rows& x, std::size_t t, std::size_t b0, std::size_t n,
                                 const std::byte* ahead, float* y, std::size_t ldy, bool from_y) noexcept {
    __m256 acc[T][2];
#pragma GCC unroll 4
    for (int r = 0; r < T; ++r) {
        const float* row = y + static_cast<std::size_t>(r) * ldy;
        acc[r][0] = from_y ? _mm256_loadu_ps(row) : _mm256_setzero_ps();
        acc[r][1] = from_y ? _mm256_loadu_ps(row + 8) : _mm256_setzero_ps();
    }
    const std::size_t lda = x.wide_ld;
    const std::int16_t* a = x.wide + t * lda + b0 * kQBlock;
    const float* scale = x.scale + t * x.n_blocks + b0;
    for (std::size_t b = 0; b < n; ++b, panel += kWideBytes, a += kQBlock, ++scale) {
#pragma GCC unroll 8
        for (int i = 0; i < kLines; ++i, ahead += 64) prefetch(ahead, 0);
        __m256i sum[T][2];
#pragma GCC unroll 16
        for (int p = 0; p < kQBlock / 2; ++p) {
            const auto* w = reinterpret_cast<const __m256i*>(panel + 64 + 64 * p);
            const __m256i w0 = _mm256_load_si256(w), w1 = _mm256_load_si256(w + 1);
#pragma GCC unroll 4
            for (int r = 0; r < T; ++r) {
                const __m256i pair = two_codes(a + static_cast<std::size_t>(r) * lda + 2 * p);
                const __m256i p0 = _mm256_madd_epi16(w0, pair), p1 = _mm256_madd_epi16(w1, pair);
                sum[r][0] = p == 0 ? p0 : _mm256_add_epi32(sum[r][0], p0);
                sum[r][1] = p == 0 ? p1 : _mm256_add_epi32(sum[r][1], p1);
                add_now(sum[r][0]);
                add_now(sum[r][1]);
            }
        }
        const auto* s = reinterpret_cast<const float*>(panel);
        const __m256 s0 = _mm256_load_ps(s), s1 = _mm256_load_ps(s + 8);
#pragma GCC unroll 4
        for (int r = 0; r < T; ++r) {
            const __m256 as = _mm256_broadcast_ss(scale + static_cast<std::size_t>(r) * x.n_blocks);
            acc[r][0] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][0]), _mm256_mul_ps(s0, as), acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][1]), _mm256_mul_ps(s1, as), acc[r][1]);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < T; ++r) {
        _mm256_storeu_ps(y + static_cast<std::size_t>(r) * ldy, acc[r][0]);
        _mm256_storeu_ps(y + static_cast<std::size_t>(r) * ldy + 8, acc[r][1]);
    }
}

// Whether this form has codes of a byte about 128 and nothing else, which is what these tiles know.
inline bool is_wide(const QuantForm& f) noexcept {
    return !f.has_half && !f.has_min && f.zero == 128 &&
           (f.bits == 8 ? kind_of_bytes<Pairs>(f) == Codes::full : f.bits == 4 && f.table != nullptr);
}

// Rows whose activations were widened before (Q8Rows::wide).
inline void wide_rows(const QPanelForm& form, const std::byte* panel, const Rows& x, std::size_t T, float* y,
                      std::size_t ldy) noexcept {
    constexpr std::size_t kFew = 32;  // for so many the arithmetic may have to wait for the next panel
    const Layout layout(form);
    alignas(64) std::byte buffer[kWideBlocks * kWideBytes];
    for (std::size_t b = 0; b < x.n_blocks; b += kWideBlocks) {
        const std::size_t n = std::min(kWideBlocks, x.n_blocks - b);
        const std::byte* const here = panel + (form.has_header() ? form.header_at(b) : form.block_at(b));
        if (form.form.bits == 8)
            widen_blocks<Codes::full>(layout, here, n, buffer);
        else
            widen_blocks<Codes::table>(layout, here, n, buffer);
        // Few rows would wait for the next stretch, or panel: it is asked for while these are worked on.
        const std::byte* ahead = here + form.panel_bytes(n);
        std::size_t t = 0;
        if (T <= kFew)
            for (; t + 4 <= T && t < 12; t += 4, ahead += 3 * 64 * n)
                wide_tile<4, 3>(buffer, x, t, b, n, ahead, y + t * ldy, ldy, b != 0);
        for (; t < T; t += 4) {
            float* const out = y + t * ldy;
            switch (std::min<std::size_t>(T - t, 4)) {
                case 4:
                    wide_tile<4, 0>(buffer, x, t, b, n, nullptr, out, ldy, b != 0);
                    break;
                case 3:
                    wide_tile<3, 0>(buffer, x, t, b, n, nullptr, out, ldy, b != 0);
                    break;
                case 2:
                    wide_tile<2, 0>(buffer, x, t, b, n, nullptr, out, ldy, b != 0);
                    break;
                default:
                    wide_tile<1, 0>(buffer, x, t, b, n, nullptr, out, ldy, b != 0);
            }
        }
    }
}

}  // namespace
}  // namespace freehold::avx2
