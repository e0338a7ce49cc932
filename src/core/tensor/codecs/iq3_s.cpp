// IQ3_S: 256 values in eight runs of 32; 110 bytes: F16 scale, 64 low bytes of numbers of vectors of 4 magnitudes, 8
// bytes of their ninth bits, 32 bytes of signs, 4 bytes of 4-bit scales, the first run in the low nibble.
// weight = (d * (2 * scale + 1)) * (+-1, 3, ..., 15).
#include "grids/iq3_s.h"
#include "expand.h"
#include "grids.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 110;
constexpr QuantForm kForm{.bits = 4, .zero = 128, .max_code = 143, .scales = ScaleForm::super, .table = kIq3SValues};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src);
        for (int run = 0; run < 8; ++run) {
            CodeBlock& c = dst[run];
            const std::uint32_t scale = (load_u8(src + 106 + run / 2) >> (4 * (run % 2))) & 15U;
            const std::uint32_t high = load_u8(src + 66 + run);
            c.scale = d;
            c.scale_code = static_cast<std::uint8_t>(2 * scale + 1);
            for (int i = 0; i < 8; ++i) {
                const std::uint32_t at = load_u8(src + 2 + 8 * run + i) | (((high >> i) & 1U) << 8);
                const std::uint32_t signs = load_u8(src + 74 + 4 * run + i / 2) >> (4 * (i % 2));
                put_grid4(kIq3SGrid[at], signs, c.code + 4 * i);
            }
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

}  // namespace

const DTypeTraits& codec_iq3_s() {
    static const DTypeTraits t{.id = DType::IQ3_S,
                               .name = "IQ3_S",
                               .block = 256,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes};
    return t;
}

}  // namespace freehold
