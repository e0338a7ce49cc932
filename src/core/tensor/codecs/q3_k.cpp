// Q3_K: 256 values in sixteen runs of 16; 110 bytes: 32 bytes of third bits, 64 bytes of 2-bit codes, 12 bytes of 6-bit
// scales, F16 scale of scales. weight = (d * (scale - 32)) * (code - 4).
#include "expand.h"
#include "halves.h"
#include "quantise/k_centred.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 110;
constexpr QuantForm kForm{.bits = 3, .zero = 4, .max_code = 7, .has_half = true, .scales = ScaleForm::super};

// Eight bytes hold the low nibbles of scales 0-7 and 8-15; the last four the upper pairs of j, j + 4, j + 8, j + 12.
int scale_of(const std::byte* p, int j) noexcept {
    const std::uint32_t low = j < 8 ? load_u8(p + j) & 15U : static_cast<std::uint32_t>(load_u8(p + j - 8) >> 4);
    const std::uint32_t high = (load_u8(p + 8 + j % 4) >> (2 * (j / 4))) & 3U;
    return static_cast<int>(low | (high << 4)) - 32;
}

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src + 108);
        for (int group = 0; group < 8; ++group) {
            CodeBlock& c = dst[group];
            c.scale = d;
            for (int h = 0; h < 2; ++h) c.half[h] = static_cast<std::int8_t>(scale_of(src + 96, 2 * group + h));
            const std::byte* q = src + 32 + 32 * (group / 4);
            for (int i = 0; i < 32; ++i) {
                const std::uint32_t low = (load_u8(q + i) >> (2 * (group % 4))) & 3U;
                c.code[i] = static_cast<std::uint8_t>(low | (((load_u8(src + i) >> group) & 1U) << 2));
            }
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

void encode(const float* src, std::byte* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += 256, dst += kBytes) {
        const quantise::KCentred k = quantise::k_centred(src, 4, 31, true);
        for (int i = 0; i < 32; ++i) {
            unsigned high = 0;
            for (int group = 0; group < 8; ++group) high |= static_cast<unsigned>(k.code[32 * group + i] >> 2) << group;
            store_u8(dst + i, high);
        }
        for (int half = 0; half < 2; ++half)
            for (int i = 0; i < 32; ++i) {
                const std::uint8_t* code = k.code + 128 * half + i;
                store_u8(dst + 32 + 32 * half + i,
                         (code[0] & 3) | ((code[32] & 3) << 2) | ((code[64] & 3) << 4) | ((code[96] & 3) << 6));
            }
        unsigned s[16];
        for (int j = 0; j < 16; ++j) s[j] = static_cast<unsigned>(k.scale[j] + 32);
        for (int j = 0; j < 8; ++j) store_u8(dst + 96 + j, (s[j] & 15U) | ((s[j + 8] & 15U) << 4));
        for (int j = 0; j < 4; ++j)
            store_u8(dst + 104 + j,
                     (s[j] >> 4) | ((s[j + 4] >> 4) << 2) | ((s[j + 8] >> 4) << 4) | ((s[j + 12] >> 4) << 6));
        store_u16(dst + 108, k.d);
    }
}

}  // namespace

const DTypeTraits& codec_q3_k() {
    static const DTypeTraits t{.id = DType::Q3_K,
                               .name = "Q3_K",
                               .block = 256,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = kForm,
                               .to_f32 = expand,
                               .to_codes = codes,
                               .from_f32 = encode};
    return t;
}

}  // namespace freehold
