// Q4_0: 32 values as 4-bit codes with one F16 scale; 18 bytes a block: scale, 16 bytes of codes.
// Byte i holds value i in its low and value i + 16 in its high nibble; weight = scale * (code - 8).
#include "expand.h"
#include "nibbles.h"
#include "packed.h"
#include "quantise/centred.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 18;
constexpr QuantForm kForm{.bits = 4, .zero = 8, .max_code = 15, .scales = ScaleForm::f16};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, ++dst) {
        dst->scale = load_f16(src);
        split_nibbles(src + 2, dst->code);
    }
}

void packed(const std::byte* src, PackedBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, ++dst) {
        dst->scale = load_quiet_f16(src);
        pack_split_nibbles(src + 2, dst->plane);
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<32, kBytes>(kForm, codes, src, dst, n);
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
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes,
                               .to_packed = packed,
                               .from_f32 = encode};
    return t;
}

}  // namespace freehold
