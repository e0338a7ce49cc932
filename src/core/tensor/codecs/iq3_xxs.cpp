// IQ3_XXS: 256 values in eight runs of 32; 98 bytes: F16 scale, 64 numbers of vectors of 4 magnitudes, then for each
// run a word with four times seven signs and a 4-bit scale on top. weight = (d * (2 * scale + 1) / 4) * (+-4, 12, ...,
// 52 or 62).
#include "grids/iq3_xxs.h"
#include "expand.h"
#include "grids.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 98;
// A quarter of a small F16 is no F16, so panels keep the scales as F32.
constexpr QuantForm kForm{.bits = 4, .zero = 128, .max_code = 190, .scales = ScaleForm::f32, .table = kIq3XxsValues};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src) * 0.25F;
        for (int run = 0; run < 8; ++run) {
            const std::uint32_t word = load_u32(src + 66 + 4 * run);
            dst[run].scale = d * static_cast<float>(2 * (word >> 28) + 1);
            for (int i = 0; i < 8; ++i) {
                const std::uint32_t signs = even_signs((word >> (7 * (i / 2))) & 127U) >> (4 * (i % 2));
                put_grid4(kIq3XxsGrid[load_u8(src + 2 + 8 * run + i)], signs, dst[run].code + 4 * i);
            }
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

}  // namespace

const DTypeTraits& codec_iq3_xxs() {
    static const DTypeTraits t{.id = DType::IQ3_XXS,
                               .name = "IQ3_XXS",
                               .block = 256,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes};
    return t;
}

}  // namespace freehold
