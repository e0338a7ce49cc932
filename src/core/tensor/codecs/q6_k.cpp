// Q6_K: 256 values in sixteen runs of 16; 210 bytes: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 int8
// scales, F16 scale of scales. Each half of 128 values is four groups of 32. weight = (d*scale) * (code - 32).
#include "expand.h"
#include "nibbles.h"
#include "packed.h"
#include "quantise/k_centred.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 210;
constexpr QuantForm kForm{.bits = 6, .zero = 32, .max_code = 63, .has_half = true, .scales = ScaleForm::super};

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const float d = load_f16(src + 208);
        for (int group = 0; group < 8; ++group) {
            CodeBlock& c = dst[group];
            const int half = group / 4, part = group % 4;
            const std::byte* low = src + 64 * half + 32 * (part % 2);
            const std::byte* high = src + 128 + 32 * half;
            run_nibbles(low, part >= 2, c.code);
            for (int i = 0; i < 32; ++i) {
                const std::uint32_t pair = (load_u8(high + i) >> (2 * part)) & 3U;
                c.code[i] = static_cast<std::uint8_t>(c.code[i] | (pair << 4));
            }
            c.scale = d;
            for (int h = 0; h < 2; ++h) c.half[h] = static_cast<std::int8_t>(load_u8(src + 192 + 2 * group + h));
        }
    }
}

void packed(const std::byte* src, PackedBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += kBytes, dst += 8) {
        const std::uint16_t d = load_quiet_f16(src + 208);
        for (int group = 0; group < 8; ++group) {
            PackedBlock& p = dst[group];
            const int half = group / 4, part = group % 4;
            const std::byte* high = src + 128 + 32 * half;
            pack_run_nibbles(src + 64 * half + 32 * (part % 2), part >= 2, p.plane);
            for (int twos = 0; twos < 2; ++twos) {
                std::uint32_t plane = 0;
                for (int j = 0; j < 4; ++j)
                    plane |= (load_u32(high + 16 * twos + 4 * j) >> (2 * part) & 0x03030303U) << (2 * j);
                p.plane[4 + twos] = plane;
            }
            p.scale = d;
            std::memcpy(p.half, src + 192 + 2 * group, 2);
        }
    }
}

void expand(const std::byte* src, float* dst, std::size_t n) {
    expand_blocks<256, kBytes>(kForm, codes, src, dst, n);
}

void encode(const float* src, std::byte* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 256; ++b, src += 256, dst += kBytes) {
        const quantise::KCentred k = quantise::k_centred(src, 32, 127, false);
        for (int half = 0; half < 2; ++half)
            for (int i = 0; i < 32; ++i) {
                const std::uint8_t* code = k.code + 128 * half + i;
                std::byte* low = dst + 64 * half + i;
                store_u8(low, (code[0] & 15) | ((code[64] & 15) << 4));
                store_u8(low + 32, (code[32] & 15) | ((code[96] & 15) << 4));
                store_u8(dst + 128 + 32 * half + i,
                         (code[0] >> 4) | ((code[32] >> 4) << 2) | ((code[64] >> 4) << 4) | ((code[96] >> 4) << 6));
            }
        std::memcpy(dst + 192, k.scale, sizeof k.scale);
        store_u16(dst + 208, k.d);
    }
}

}  // namespace

const DTypeTraits& codec_q6_k() {
    static const DTypeTraits t{.id = DType::Q6_K,
                               .name = "Q6_K",
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
