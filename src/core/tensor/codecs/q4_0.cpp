// Q4_0: 32 values as 4-bit codes with one F16 scale; 18 bytes a block: scale, 16 bytes of codes.
// Byte i holds value i in its low and value i + 16 in its high nibble; weight = scale * (code - 8).
#include "halves.h"
#include "quantise/centred.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 18;

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
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, dst += 32) {
        CodeBlock c;
        codes(src, &c, 32);
        for (int i = 0; i < 32; ++i) dst[i] = c.scale * static_cast<float>(c.code[i] - 8);
    }
}

void encode(const float* src, std::byte* dst, std::size_t n) {
    constexpr quantise::Integers kValues{8};
    for (std::size_t b = 0; b < n / 32; ++b, src += 32, dst += kBytes) {
        quantise::Run<32> run(src);
        run.weigh_by_size();
        const std::uint16_t d = f32_to_f16(quantise::centred_search(run, kValues, 12, 0.1F));
        std::uint8_t code[32];
        quantise::centred_store(run, kValues, f16_to_f32(d), code);
        store_u16(dst, d);
        for (int i = 0; i < 16; ++i) store_u8(dst + 2 + i, code[i] | (code[i + 16] << 4));
    }
}

}  // namespace

const DTypeTraits& codec_q4_0() {
    static const DTypeTraits t{.id = DType::Q4_0,
                               .name = "Q4_0",
                               .block = 32,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = {.bits = 4, .zero = 8, .max_code = 15, .scales = ScaleForm::f16},
                               .to_f32 = expand,
                               .to_codes = codes,
                               .from_f32 = encode};
    return t;
}

}  // namespace freehold
