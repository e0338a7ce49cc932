// F32: IEEE 754 single precision, as it is.
// Not a quantised format; read by bytes because a file may place it at any offset.
#include <cstring>

#include "freehold/tensor/dtype.h"

namespace freehold {
namespace {

void expand(const std::byte* src, float* dst, std::size_t n) {
    std::memcpy(dst, src, n * sizeof(float));
}
void encode(const float* src, std::byte* dst, std::size_t n) {
    std::memcpy(dst, src, n * sizeof(float));
}

}  // namespace

const DTypeTraits& codec_f32() {
    static const DTypeTraits t{
        .id = DType::F32, .name = "F32", .block = 1, .bytes = 4, .to_f32 = expand, .from_f32 = encode};
    return t;
}

}  // namespace freehold
