// Q4_1: 32 values as 4-bit codes with an F16 scale and an F16 minimum; 20 bytes a block: scale, minimum, 16 bytes of
// codes. Byte i holds value i in its low and value i + 16 in its high nibble; weight = scale * code + minimum.
#include "expand.h"
#include "nibbles.h"
#include "packed.h"
#include "quantise/affine.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 20;
constexpr QuantForm kForm{.bits = 4, .zero = 0, .max_code = 15, .has_min = true, .scales = ScaleForm::f16};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, ++dst) {
        dst->scale = load_f16(src);
        dst->min = load_f16(src + 2);
        split_nibbles(src + 4, dst->code);
    }
}

void packed(const std::byte* src, PackedBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, ++dst) {
        dst->scale = load_quiet_f16(src);
        dst->min = load_quiet_f16(src + 2);
        pack_split_nibbles(src + 4, dst->plane);
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<32, kBytes>(kForm, codes, src, dst, n);
}

void encode(const float* src, std::byte* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += 32, dst += kBytes) {
        quantise::Run<32> run(src);
        run.weigh_by_size();
        const quantise::Affine fit = quantise::affine_search(run, 15, false);
        const std::uint16_t d = f32_to_f16(fit.scale), m = f32_to_f16(fit.min);
        std::uint8_t code[32];
        quantise::affine_store(run, f16_to_f32(d), f16_to_f32(m), 15, code);
        store_u16(dst, d);
        store_u16(dst + 2, m);
        for (int i = 0; i < 16; ++i) store_u8(dst + 4 + i, (code[i] & 15) | ((code[i + 16] & 15) << 4));
    }
}

}  // namespace

const DTypeTraits& codec_q4_1() {
    static const DTypeTraits t{.id = DType::Q4_1,
                               .name = "Q4_1",
                               .block = 32,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes,
                               .to_packed = packed,
                               .from_f32 = encode};
    return t;
}

}  // namespace freehold
