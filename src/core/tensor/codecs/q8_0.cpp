// Q8_0: 32 values as int8 with one F16 scale; 34 bytes a block: scale, 32 codes.
// weight = scale * code. In code form the bytes are offset by 128 to be unsigned.
#include <cstring>

#include "halves.h"
#include "packed.h"

namespace freehold {
namespace {

constexpr std::size_t kBytes = 34;

void expand(const std::byte* src, float* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, dst += 32) {
        const float d = load_f16(src);
        for (int i = 0; i < 32; ++i) dst[i] = d * static_cast<float>(static_cast<std::int8_t>(load_u8(src + 2 + i)));
    }
}

void codes(const std::byte* src, CodeBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, ++dst) {
        dst->scale = load_f16(src);
        for (int i = 0; i < 32; ++i) dst->code[i] = load_u8(src + 2 + i) ^ 0x80U;
    }
}

void packed(const std::byte* src, PackedBlock* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += kBytes, ++dst) {
        dst->scale = load_quiet_f16(src);
        for (int g = 0; g < 8; ++g) dst->plane[g] = load_u32(src + 2 + 4 * g) ^ 0x80808080U;
    }
}

// Codes are found with the unrounded scale, and halves are rounded away from zero, as writers of the format do.
void encode(const float* src, std::byte* dst, std::size_t n) {
    for (std::size_t b = 0; b < n / 32; ++b, src += 32, dst += kBytes) {
        float amax = 0;
        for (int i = 0; i < 32; ++i) {
            const float a = src[i] < 0 ? -src[i] : src[i];
            if (a > amax) amax = a;
        }
        const float d = amax / 127.0F;
        const float inverse = d == 0 ? 0 : 1.0F / d;
        const std::uint16_t h = f32_to_f16(d);
        std::memcpy(dst, &h, sizeof h);
        for (int i = 0; i < 32; ++i) {
            const float x = src[i] * inverse;
            const float magnitude = x < 0 ? -x : x;
            int code = 127;
            if (magnitude < 127) {  // not so for NaN either
                code = static_cast<int>(magnitude);
                if (magnitude - static_cast<float>(code) >= 0.5F) ++code;
            }
            dst[2 + i] = static_cast<std::byte>(static_cast<std::uint8_t>(x < 0 ? -code : code));
        }
    }
}

}  // namespace

const DTypeTraits& codec_q8_0() {
    static const DTypeTraits t{.id = DType::Q8_0,
                               .name = "Q8_0",
                               .block = 32,
                               .bytes = kBytes,
                               .quantised = true,
                               .form = {.bits = 8, .zero = 128, .max_code = 255, .scales = ScaleForm::f16},
                               .to_f32 = expand,
                               .to_codes = codes,
                               .to_packed = packed,
                               .from_f32 = encode};
    return t;
}

}  // namespace freehold
