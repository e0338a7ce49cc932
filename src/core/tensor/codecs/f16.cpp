// F16: IEEE 754 half precision; expansion is exact, encoding rounds to nearest even.
// Not a quantised format.
#include <cstring>

#include "halves.h"

namespace freehold {
namespace {

void expand(const std::byte* src, float* dst, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) dst[i] = load_f16(src + 2 * i);
}

void encode(const float* src, std::byte* dst, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint16_t h = f32_to_f16(src[i]);
        std::memcpy(dst + 2 * i, &h, sizeof h);
    }
}

}  // namespace

const DTypeTraits& codec_f16() {
    static const DTypeTraits t{
        .id = DType::F16, .name = "F16", .block = 1, .bytes = 2, .to_f32 = expand, .from_f32 = encode};
    return t;
}

}  // namespace freehold
