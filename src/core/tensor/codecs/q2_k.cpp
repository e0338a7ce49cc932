// Q2_K: 256 values in sixteen runs of 16; 84 bytes: 16 bytes (scale in the low, minimum in the high nibble), 64 bytes
// of 2-bit codes, F16 scale of scales, F16 scale of minimums. weight = (d*scale) * code - (dmin*min).
#include "expand.h"
#include "halves.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 84;
constexpr QuantForm kForm{.bits = 2,
                          .zero = 0,
                          .max_code = 3,
                          .has_min = true,
                          .has_half = true,
                          .has_half_min = true,
                          .scales = ScaleForm::super};

// Bytes hold the codes of four groups of 32 in their bit pairs, lowest first.
void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src + 80), dmin = load_f16(src + 82);
        for (int group = 0; group < 8; ++group) {
            CodeBlock& c = dst[group];
            c.scale = d;
            c.min = -dmin;
            for (int h = 0; h < 2; ++h) {
                const std::uint8_t s = load_u8(src + 2 * group + h);
                c.half[h] = static_cast<std::int8_t>(s & 15U);
                c.half_min[h] = static_cast<std::uint8_t>(s >> 4);
            }
            const std::byte* q = src + 16 + 32 * (group / 4);
            for (int i = 0; i < 32; ++i)
                c.code[i] = static_cast<std::uint8_t>((load_u8(q + i) >> (2 * (group % 4))) & 3U);
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

}  // namespace

const DTypeTraits& codec_q2_k() {
    static const DTypeTraits t{.id = DType::Q2_K,
                               .name = "Q2_K",
                               .block = 256,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes};
    return t;
}

}  // namespace freehold
