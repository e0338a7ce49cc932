// The scalar reference of the matrix products: the plainest loops that keep the order of docs/numerics.md.
// Slow on purpose; every other table is held against these bit for bit.
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "scalar.h"

namespace freehold::scalar {
namespace {

// What a flush-to-zero, denormals-are-zero fma gives, without touching the environment. BF16 products are exact in
// double, and where the sum is tiny it is exact too, so tininess after rounding can be read off the double.
float flushed_fma(float a, float b, float acc) noexcept {
    const double exact = static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(acc);
    if (std::fabs(exact) < 0x1p-126 - 0x1p-151) return std::copysign(0.0F, static_cast<float>(exact));
    return std::fma(a, b, acc);
}

float flushed(std::uint16_t bf16) noexcept {
    return (bf16 & 0x7F80U) == 0 ? bf16_to_f32(bf16 & 0x8000U) : bf16_to_f32(bf16);
}

float f16_at(const std::byte* p, int row) noexcept {
    std::uint16_t h;
    std::memcpy(&h, p + 2 * row, sizeof h);
    return f16_to_f32(h);
}

int byte_at(const std::byte* p, std::size_t i) noexcept {
    return std::to_integer<int>(p[i]);
}

int signed_at(const std::byte* p, std::size_t i) noexcept {
    return static_cast<std::int8_t>(std::to_integer<std::uint8_t>(p[i]));
}

// Scale, or minimum, of one row and block; `codes` are the block's integers of ScaleForm::super, or null if it has
// none.
float scale_at(ScaleForm scales, const std::byte* block, const std::byte* header, const std::byte* codes,
               int row) noexcept {
    switch (scales) {
        case ScaleForm::f16:
            return f16_at(block, row);
        case ScaleForm::super:
            return codes == nullptr
                       ? f16_at(header, row)
                       : f16_at(header, row) * static_cast<float>(signed_at(codes, static_cast<std::size_t>(row)));
        case ScaleForm::f32:
            break;
    }
    float v;
    std::memcpy(&v, block + 4 * row, sizeof v);
    return v;
}

int code_at(int bits, const std::byte* planes, int row, int i) noexcept {
    const auto group = static_cast<std::size_t>(i / 4),
               lane = 4 * static_cast<std::size_t>(row) + static_cast<std::size_t>(i % 4);
    const auto nibble = [&] { return (byte_at(planes, 64 * (group % 4) + lane) >> (group < 4 ? 0 : 4)) & 15; };
    const auto twos = [&](std::size_t base) {
        return (byte_at(planes, 64 * (base + group / 4) + lane) >> (2 * (group % 4))) & 3;
    };
    const auto one = [&](std::size_t plane) { return (byte_at(planes, 64 * plane + lane) >> group) & 1; };
    switch (bits) {
        case 2:
            return twos(0);
        case 3:
            return twos(0) | one(2) << 2;
        case 4:
            return nibble();
        case 5:
            return nibble() | one(4) << 4;
        case 6:
            return nibble() | twos(4) << 4;
        default:
            return byte_at(planes, 64 * group + lane);
    }
}

}  // namespace

void panel_f32(const float* x, std::size_t ldx, std::size_t x_step, std::size_t T, const float* panel,
               std::size_t panel_stride, std::size_t K, float* y, std::size_t ldy, int n_valid, bool accumulate) {
    for (std::size_t t = 0; t < T; ++t)
        for (int j = 0; j < n_valid; ++j) {
            float acc = accumulate ? y[t * ldy + j] : 0.0F;
            for (std::size_t k = 0; k < K; ++k)
                acc = std::fma(x[t * ldx + k * x_step], panel[k * panel_stride + j], acc);
            y[t * ldy + j] = acc;
        }
}

void panel_bf16(const std::uint16_t* x, std::size_t ldx, std::size_t T, const std::uint16_t* panel, std::size_t K,
                float* y, std::size_t ldy, int n_valid) {
    for (std::size_t t = 0; t < T; ++t)
        for (int j = 0; j < n_valid; ++j) {
            float acc = 0;
            for (std::size_t k = 0; k < K; k += 2) {
                const std::uint16_t* pair = panel + (k / 2 * kPanelRows + j) * 2;
                acc = flushed_fma(flushed(x[t * ldx + k + 1]), flushed(pair[1]), acc);
                acc = flushed_fma(flushed(x[t * ldx + k]), flushed(pair[0]), acc);
            }
            y[t * ldy + j] = acc;
        }
}

// A row's block is unpacked once for all rows of activations; the chain of an output waits in y between blocks, which
// loses nothing (storing and reloading F32 is exact).
void panel_q8(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel, float* y,
              std::size_t ldy, int n_valid) {
    const QuantForm& f = form.form;
    const std::size_t n_blocks = x.padded_k / kQBlock;
    for (std::size_t t = 0; t < T; ++t)
        for (int j = 0; j < n_valid; ++j) y[t * ldy + j] = 0;
    for (std::size_t b = 0; b < n_blocks; ++b) {
        const std::byte* block = panel + form.block_at(b);
        const std::byte* header = panel + form.header_at(b);
        for (int j = 0; j < n_valid; ++j) {
            const auto pair = 2 * static_cast<std::size_t>(j);
            int value[kQBlock];
            for (int i = 0; i < kQBlock; ++i) {
                const int code = code_at(f.bits, block + form.codes_at(), j, i);
                value[i] = f.table != nullptr ? f.table[code] : code;
            }
            int half[2] = {1, 1}, half_min[2] = {0, 0};
            for (std::size_t h = 0; h < 2; ++h) {
                if (f.has_half) half[h] = signed_at(block + form.halves_at(), pair + h);
                if (f.has_half_min) half_min[h] = byte_at(block + form.half_mins_at(), pair + h);
            }
            const float scale = scale_at(f.scales, block, header, f.has_half ? nullptr : block, j);
            const std::byte* mins = block + form.mins_at();
            const float min =
                f.has_min ? scale_at(f.scales, mins, header + 32, f.has_half_min ? nullptr : mins, j) : 0.0F;
            for (std::size_t t = 0; t < T; ++t) {
                const std::size_t at = (t0 + t) * n_blocks + b;
                const std::int8_t* a = x.codes + (t0 + t) * x.padded_k + b * kQBlock;
                int sums[2] = {0, 0};
                for (int i = 0; i < 16; ++i) sums[0] += value[i] * a[i];
                for (int i = 16; i < kQBlock; ++i) sums[1] += value[i] * a[i];
                int isum = sums[0] + sums[1] - f.zero * x.sum[at];
                if (f.has_half)
                    isum = half[0] * (sums[0] - f.zero * x.half[2 * at]) +
                           half[1] * (sums[1] - f.zero * x.half[2 * at + 1]);
                float& acc = y[t * ldy + j];
                acc = std::fma(static_cast<float>(isum), scale * x.scale[at], acc);
                if (f.has_half_min) {
                    const int msum = half_min[0] * x.half[2 * at] + half_min[1] * x.half[2 * at + 1];
                    acc = std::fma(static_cast<float>(msum), min * x.scale[at], acc);
                } else if (f.has_min) {
                    acc = std::fma(min, x.fsum[at], acc);
                }
            }
        }
    }
}

void quantize_row(const float* x, std::size_t K, const Q8Rows& out, std::size_t t) {
    const std::size_t n_blocks = out.padded_k / kQBlock;
    for (std::size_t b = 0; b < n_blocks; ++b) {
        std::int8_t* codes = out.codes + t * out.padded_k + b * kQBlock;
        const std::size_t at = t * n_blocks + b;
        float block[kQBlock] = {};
        std::uint32_t amax_bits = 0;
        for (std::size_t i = 0; i < kQBlock && b * kQBlock + i < K; ++i) {
            block[i] = x[b * kQBlock + i];
            const auto bits = std::bit_cast<std::uint32_t>(block[i]) & 0x7FFFFFFFU;
            if (bits > amax_bits) amax_bits = bits;
        }
        const float amax = std::bit_cast<float>(amax_bits);
        const bool finite = amax_bits < 0x7F800000U;
        const bool usable = finite && amax >= kQ8Smallest;
        const float inverse = usable ? 127.0F / amax : 0.0F;
        int half[2] = {0, 0};
        for (int i = 0; i < kQBlock; ++i) {
            int code = 0;
            if (usable) {
                // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even; |x * inverse| is at most 127 and a
                // rounding.
                const float shifted = block[i] * inverse + 12582912.0F;
                code = static_cast<std::int8_t>(std::bit_cast<std::uint32_t>(shifted) & 0xFFU);
            }
            codes[i] = static_cast<std::int8_t>(code);
            half[i / 16] += code;
        }
        const int sum = half[0] + half[1];
        const float scale = usable ? amax / 127.0F : (finite ? 0.0F : __builtin_nanf(""));
        out.scale[at] = scale;
        out.sum[at] = sum;
        out.half[2 * at] = static_cast<std::int16_t>(half[0]);
        out.half[2 * at + 1] = static_cast<std::int16_t>(half[1]);
        out.fsum[at] = static_cast<float>(sum) * scale;
    }
}

}  // namespace freehold::scalar
