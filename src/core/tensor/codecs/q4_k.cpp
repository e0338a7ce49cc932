// Q4_K: 256 values in eight runs of 32; 144 bytes: F16 scale of scales, F16 scale of minimums, 12 bytes of 6-bit scales
// and minimums, 128 bytes of nibbles (32 bytes hold two runs: low nibbles, then high). weight = (d*scale) * code -
// (dmin*min).
#include "expand.h"
#include "k_scales.h"
#include "nibbles.h"
#include "packed.h"
#include "quantise/k_affine.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 144;
constexpr QuantForm kForm{.bits = 4, .zero = 0, .max_code = 15, .has_min = true, .scales = ScaleForm::super};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        for (int run = 0; run < 8; ++run) {
            k_head(src, run, dst[run]);
            run_nibbles(src + 16 + 32 * (run / 2), run % 2 != 0, dst[run].code);
        }
    }
}

void packed(const std::byte* src, PackedBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        pack_k_head(src, dst);
        for (int run = 0; run < 8; ++run) pack_run_nibbles(src + 16 + 32 * (run / 2), run % 2 != 0, dst[run].plane);
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

void encode(const float* src, std::byte* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += 256, dst += kBytes) {
        const quantise::KAffine k = quantise::k_affine(src, 15);
        store_u16(dst, k.d);
        store_u16(dst + 2, k.dmin);
        store_k_scales(dst + 4, k.scale, k.min);
        for (int pair = 0; pair < 4; ++pair)
            for (int i = 0; i < 32; ++i) {
                const std::uint8_t* code = k.code + 64 * pair + i;
                store_u8(dst + 16 + 32 * pair + i, (code[0] & 15) | ((code[32] & 15) << 4));
            }
    }
}

}  // namespace

const DTypeTraits& codec_q4_k() {
    static const DTypeTraits t{.id = DType::Q4_K,
                               .name = "Q4_K",
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
