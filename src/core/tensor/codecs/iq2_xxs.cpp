// IQ2_XXS: 256 values in eight runs of 32; 66 bytes: F16 scale, then for each run four numbers of vectors of 8
// magnitudes (a byte each) and a word with four times seven signs and a 4-bit scale on top.
// weight = (d * (2 * scale + 1) / 8) * (+-8, 25 or 43).
#include "grids/iq2_xxs.h"
#include "expand.h"
#include "grids.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 66;
// An eighth of a small F16 is no F16, so panels keep the scales as F32.
constexpr QuantForm kForm{.bits = 4, .zero = 128, .max_code = 171, .scales = ScaleForm::f32, .table = kIq2Values};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src) * 0.125F;
        for (int run = 0; run < 8; ++run) {
            const std::byte* q = src + 2 + 8 * run;
            const std::uint32_t word = load_u32(q + 4);
            dst[run].scale = d * static_cast<float>(2 * (word >> 28) + 1);
            for (int i = 0; i < 4; ++i)
                put_grid8(kIq2XxsGrid[load_u8(q + i)], even_signs((word >> (7 * i)) & 127U), dst[run].code + 8 * i);
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

}  // namespace

const DTypeTraits& codec_iq2_xxs() {
    static const DTypeTraits t{.id = DType::IQ2_XXS,
                               .name = "IQ2_XXS",
                               .block = 256,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes};
    return t;
}

}  // namespace freehold
