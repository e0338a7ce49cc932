// Activations to q8 blocks, and halves to floats and back.
// Rule 3 of docs/numerics.md; the bits of scalar_products.cpp and of tensor's conversions.
#include "portable/lanes.h"
#include "portable/table.h"

namespace freehold::portable {
namespace {

int sum4(VI v) noexcept {
    std::int32_t x[kLanes];
    hn::StoreU(v, DI(), x);
    return (x[0] + x[1]) + (x[2] + x[3]);
}

void quantize_block(const float* x, const Q8Rows& out, std::size_t at, std::int8_t* codes) noexcept {
    VF v[8];
    VI magnitude = hn::Zero(DI());
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i) {
        v[i] = load(x + kLanes * i);
        // Magnitudes compare as integers, which keeps NaN on top.
        magnitude = hn::Max(magnitude, hn::BitCast(DI(), hn::Abs(v[i])));
    }
    std::int32_t largest_bits[kLanes];
    hn::StoreU(magnitude, DI(), largest_bits);
    std::int32_t amax_bits = 0;
    for (const std::int32_t bits : largest_bits) amax_bits = bits > amax_bits ? bits : amax_bits;
    float amax;
    std::memcpy(&amax, &amax_bits, sizeof amax);
    const bool finite = amax_bits < 0x7F800000;
    if (!finite || amax < kQ8Smallest) {
        std::memset(codes, 0, kQBlock);
        const float scale = finite ? 0.0F : __builtin_nanf("");
        out.scale[at] = scale;
        out.sum[at] = 0;
        out.half[2 * at] = out.half[2 * at + 1] = 0;
        out.fsum[at] = 0.0F * scale;
        return;
    }
    const float scale = amax / 127.0F;
    const VF inverse = broadcast(127.0F / amax);
    VI c[8];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i) c[i] = hn::NearestInt(hn::Mul(v[i], inverse));
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i)
        hn::StoreU(hn::DemoteTo(hn::FixedTag<std::int8_t, 4>(), c[i]), hn::FixedTag<std::int8_t, 4>(),
                   codes + kLanes * i);
    const int half0 = sum4(hn::Add(hn::Add(c[0], c[1]), hn::Add(c[2], c[3])));
    const int half1 = sum4(hn::Add(hn::Add(c[4], c[5]), hn::Add(c[6], c[7])));
    out.scale[at] = scale;
    out.sum[at] = half0 + half1;
    out.half[2 * at] = static_cast<std::int16_t>(half0);
    out.half[2 * at + 1] = static_cast<std::int16_t>(half1);
    out.fsum[at] = static_cast<float>(half0 + half1) * scale;
}

}  // namespace

void quantize_row(const float* x, std::size_t K, const Q8Rows& out, std::size_t t) {
    const std::size_t n_blocks = out.padded_k / kQBlock;
    std::int8_t* codes = out.codes + t * out.padded_k;
    std::size_t b = 0;
    for (; (b + 1) * kQBlock <= K; ++b) quantize_block(x + b * kQBlock, out, t * n_blocks + b, codes + b * kQBlock);
    for (; b < n_blocks; ++b) {
        float padded[kQBlock] = {};
        if (b * kQBlock < K) std::memcpy(padded, x + b * kQBlock, (K - b * kQBlock) * sizeof(float));
        quantize_block(padded, out, t * n_blocks + b, codes + b * kQBlock);
    }
}

void to_bf16(const float* x, std::uint16_t* y, std::size_t n) {
    const hn::FixedTag<std::uint16_t, 4> narrow;
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        const VU bits = hn::BitCast(DU(), load(x + i));
        const VU upper = hn::ShiftRight<16>(bits);
        const VU odd = hn::And(upper, hn::Set(DU(), 1U));
        const VU rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(DU(), 0x7FFFU)), odd));
        const VU quiet = hn::Or(upper, hn::Set(DU(), 0x40U));
        const VU magnitude = hn::And(bits, hn::Set(DU(), 0x7FFFFFFFU));
        const VU result = hn::IfThenElse(hn::Gt(magnitude, hn::Set(DU(), 0x7F800000U)), quiet, rounded);
        hn::StoreU(hn::TruncateTo(narrow, result), narrow, y + i);
    }
    for (; i < n; ++i) y[i] = freehold::f32_to_bf16(x[i]);
}

void f16_to_f32(const std::uint16_t* x, float* y, std::size_t n) {
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(load_f16(x + i), y + i);
    for (; i < n; ++i) y[i] = freehold::f16_to_f32(x[i]);
}

void f32_to_f16(const float* x, std::uint16_t* y, std::size_t n) {
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        hn::StoreU(hn::DemoteTo(DHalf(), load(x + i)), DHalf(), reinterpret_cast<hwy::float16_t*>(y + i));
    for (; i < n; ++i) y[i] = freehold::f32_to_f16(x[i]);
}

}  // namespace freehold::portable
