// MXFP4 (OCP Microscaling Formats 1.0): 32 values of 4 bits (sign, two bits of exponent, one of mantissa) with a power
// of two as scale; 17 bytes: the exponent, 16 bytes of codes with the nibbles as in Q4_0. weight = 2^(exponent - 128) *
// (table[code] - 128); the table holds doubled values, so the scale is halved.
#include <bit>

#include "expand.h"
#include "nibbles.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 17;
// 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, doubled. Minus zero is zero, as for all readers of the format.
constexpr std::uint8_t kValues[16] = {128, 129, 130, 131, 132, 134, 136, 140, 128, 127, 126, 125, 124, 122, 120, 116};
constexpr QuantForm kForm{.bits = 4, .zero = 128, .max_code = 140, .scales = ScaleForm::f32, .table = kValues};

// 2^(e - 128): for e of 0 and 1 a denormal number.
float half_power(std::uint32_t e) noexcept {
    return std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23);
}

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, ++dst) {
        dst->scale = half_power(load_u8(src));
        split_nibbles(src + 1, dst->code);
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<32, kBytes>(kForm, codes, src, dst, n);
}

}  // namespace

const DTypeTraits& codec_mxfp4() {
    static const DTypeTraits t{.id = DType::MXFP4,
                               .name = "MXFP4",
                               .block = 32,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes};
    return t;
}

}  // namespace freehold
