// IQ2_S: 256 values in sixteen runs of 16; 82 bytes: F16 scale, 32 low bytes of numbers of vectors of 8 magnitudes, 32
// bytes of signs, 8 bytes with the upper bit pairs of the numbers, 8 bytes of 4-bit scales, the first run in the low
// nibble. weight = (d * (2 * scale + 1) / 8) * (+-8, 25 or 43).
#include "grids/iq2_s.h"
#include "expand.h"
#include "grids.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 82;
// An eighth of a small F16 is no F16, so panels keep the scales as F32.
constexpr QuantForm kForm{
    .bits = 4, .zero = 128, .max_code = 171, .has_half = true, .scales = ScaleForm::f32, .table = kIq2Values};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src) * 0.125F;
        for (int group = 0; group < 8; ++group) {
            CodeBlock& c = dst[group];
            const std::uint32_t high = load_u8(src + 66 + group), scales = load_u8(src + 74 + group);
            c.scale = d;
            c.half[0] = static_cast<std::int8_t>(2 * (scales & 15U) + 1);
            c.half[1] = static_cast<std::int8_t>(2 * (scales >> 4) + 1);
            for (int i = 0; i < 4; ++i) {
                const std::uint32_t at = load_u8(src + 2 + 4 * group + i) | (((high >> (2 * i)) & 3U) << 8);
                put_grid8(kIq2SGrid[at], load_u8(src + 34 + 4 * group + i), c.code + 8 * i);
            }
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

}  // namespace

const DTypeTraits& codec_iq2_s() {
    static const DTypeTraits t{.id = DType::IQ2_S,
                               .name = "IQ2_S",
                               .block = 256,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes};
    return t;
}

}  // namespace freehold
