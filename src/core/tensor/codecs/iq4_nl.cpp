// IQ4_NL: 32 values as 4-bit numbers of a fixed table of sixteen, with one F16 scale; 18 bytes: scale, 16 bytes of
// codes. Nibbles lie as in Q4_0; weight = scale * (table[code] - 128).
#include "expand.h"
#include "halves.h"
#include "iq4_values.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 18;
constexpr QuantForm kForm{.bits = 4, .zero = 128, .max_code = 241, .scales = ScaleForm::f16, .table = kIq4Values};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, ++dst) {
        dst->scale = load_f16(src);
        for (int i = 0; i < 16; ++i) {
            const std::uint8_t q = load_u8(src + 2 + i);
            dst->code[i] = q & 15U;
            dst->code[i + 16] = static_cast<std::uint8_t>(q >> 4);
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<32, kBytes>(kForm, codes, src, dst, n);
}

}  // namespace

const DTypeTraits& codec_iq4_nl() {
    static const DTypeTraits t{.id = DType::IQ4_NL,
                               .name = "IQ4_NL",
                               .block = 32,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes};
    return t;
}

}  // namespace freehold
