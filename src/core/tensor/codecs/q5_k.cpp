// Q5_K: 256 values in eight runs of 32; 176 bytes: as Q4_K, with 32 bytes of fifth bits between the scales and the
// nibbles (bit r of byte i belongs to value i of run r). weight = (d*scale) * code - (dmin*min).
#include "expand.h"
#include "k_scales.h"
#include "nibbles.h"
#include "packed.h"
#include "quantise/k_affine.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 176;
constexpr QuantForm kForm{.bits = 5, .zero = 0, .max_code = 31, .has_min = true, .scales = ScaleForm::super};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        for (int run = 0; run < 8; ++run) {
            CodeBlock& c = dst[run];
            k_head(src, run, c);
            run_nibbles(src + 48 + 32 * (run / 2), run % 2 != 0, c.code);
            for (int i = 0; i < 32; ++i)
                c.code[i] = static_cast<std::uint8_t>(c.code[i] | (((load_u8(src + 16 + i) >> run) & 1U) << 4));
        }
    }
}

void packed(const std::byte* src, PackedBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        pack_k_head(src, dst);
        for (int run = 0; run < 8; ++run) {
            pack_run_nibbles(src + 48 + 32 * (run / 2), run % 2 != 0, dst[run].plane);
            std::uint32_t fifth = 0;
            for (int g = 0; g < 8; ++g) fifth |= (load_u32(src + 16 + 4 * g) >> run & 0x01010101U) << g;
            dst[run].plane[4] = fifth;
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

void encode(const float* src, std::byte* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += 256, dst += kBytes) {
        const quantise::KAffine k = quantise::k_affine(src, 31);
        store_u16(dst, k.d);
        store_u16(dst + 2, k.dmin);
        store_k_scales(dst + 4, k.scale, k.min);
        for (int i = 0; i < 32; ++i) {
            unsigned high = 0;
            for (int run = 0; run < 8; ++run) high |= static_cast<unsigned>(k.code[32 * run + i] >> 4) << run;
            store_u8(dst + 16 + i, high);
        }
        for (int pair = 0; pair < 4; ++pair)
            for (int i = 0; i < 32; ++i) {
                const std::uint8_t* code = k.code + 64 * pair + i;
                store_u8(dst + 48 + 32 * pair + i, (code[0] & 15) | ((code[32] & 15) << 4));
            }
    }
}

}  // namespace

const DTypeTraits& codec_q5_k() {
    static const DTypeTraits t{.id = DType::Q5_K,
                               .name = "Q5_K",
                               .block = 256,
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
