// IQ4_XS: 256 values as numbers of the table of IQ4_NL in eight runs of 32; 136 bytes: F16 scale of scales, 2 bytes
// with the upper pairs and 4 with the low nibbles of the 6-bit scales, 128 bytes of codes. weight = (d * (scale - 32))
// * (table[code] - 128).
#include "expand.h"
#include "iq4_values.h"
#include "nibbles.h"
#include "packed.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 136;
// The scale of a run has a sign, which scale_code has not; so it stands in both halves.
constexpr QuantForm kForm{
    .bits = 4, .zero = 128, .max_code = 241, .has_half = true, .scales = ScaleForm::super, .table = kIq4Values};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src);
        const std::uint32_t high = load_u16(src + 2);
        for (int run = 0; run < 8; ++run) {
            CodeBlock& c = dst[run];
            const std::uint32_t low = (load_u8(src + 4 + run / 2) >> (4 * (run % 2))) & 15U;
            const int scale = static_cast<int>(low | (((high >> (2 * run)) & 3U) << 4)) - 32;
            c.scale = d;
            c.half[0] = c.half[1] = static_cast<std::int8_t>(scale);
            split_nibbles(src + 8 + 16 * run, c.code);
        }
    }
}

void packed(const std::byte* src, PackedBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const std::uint16_t d = load_quiet_f16(src);
        const std::uint32_t low = load_u32(src + 4), high = load_u16(src + 2);
        for (int run = 0; run < 8; ++run) {
            PackedBlock& p = dst[run];
            const std::uint32_t scale = (low >> (4 * run) & 15U) | (high >> (2 * run) & 3U) << 4;
            p.scale = d;
            p.half[0] = p.half[1] = static_cast<std::int8_t>(static_cast<int>(scale) - 32);
            pack_split_nibbles(src + 8 + 16 * run, p.plane);
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

}  // namespace

const DTypeTraits& codec_iq4_xs() {
    static const DTypeTraits t{.id = DType::IQ4_XS,
                               .name = "IQ4_XS",
                               .block = 256,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes,
                               .to_packed = packed};
    return t;
}

}  // namespace freehold
