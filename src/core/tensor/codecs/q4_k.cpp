// Q4_K: 256 values in eight runs of 32; 144 bytes: F16 scale of scales, F16 scale of minimums, 12 bytes of 6-bit scales
// and minimums, 128 bytes of nibbles (32 bytes hold two runs: low nibbles, then high). weight = (d*scale) * code -
// (dmin*min).
#include "k_scales.h"
#include "quantise/k_affine.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 144;

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src), dmin = load_f16(src + 2);
        for (int run = 0; run < 8; ++run) {
            const KScale s = k_scale(src + 4, run);
            dst[run].scale = d;
            dst[run].scale_code = static_cast<std::int8_t>(s.scale);
            dst[run].min = -dmin;
            dst[run].min_code = static_cast<std::int8_t>(s.min);
            const std::byte* q = src + 16 + 32 * (run / 2);
            for (int i = 0; i < 32; ++i)
                dst[run].code[i] = static_cast<std::uint8_t>(run % 2 == 0 ? load_u8(q + i) & 15U : load_u8(q + i) >> 4);
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 256) {
        CodeBlock c[8];
        codes(src, c, 256);
        for (int run = 0; run < 8; ++run) {
            const float scale = c[run].block_scale(), min = c[run].block_min();
            for (int i = 0; i < 32; ++i) dst[32 * run + i] = scale * static_cast<float>(c[run].code[i]) + min;
        }
    }
}

void encode(const float* src, std::byte* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += 256, dst += kBytes) {
        const quantise::KAffine k = quantise::k_affine(src, 15);
        store_u16(dst, k.d);
        store_u16(dst + 2, k.dmin);
        store_k_scales(dst + 4, k.scale, k.min);
        for (int pair = 0; pair < 4; ++pair)
            for (int i = 0; i < 32; ++i) {
                const std::uint8_t* code = k.code + 64 * pair + i;
                store_u8(dst + 16 + 32 * pair + i, (code[0] & 15) | ((code[32] & 15) << 4));
            }
    }
}

}  // namespace

const DTypeTraits& codec_q4_k() {
    static const DTypeTraits t{
        .id = DType::Q4_K,
        .name = "Q4_K",
        .block = 256,
        .bytes = kBytes,
        .quantised = true,
        .form = {.bits = 4, .zero = 0, .max_code = 15, .has_min = true, .scales = ScaleForm::super},
        .to_f32 = expand,
        .to_codes = codes,
        .from_f32 = encode};
    return t;
}

}  // namespace freehold
