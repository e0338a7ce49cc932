// Text that is not UTF-8: the bytes that belong to no character travel through normalizers and patterns as private-use
// characters that do not occur in the text, and become bytes again in the model. So decoding gives the bytes back.
#pragma once

#include <string>
#include <string_view>

namespace freehold::text {

inline constexpr char32_t kRawCount = 128;  // such a byte is 0x80 or more

struct Masked {
    std::string text;       // valid UTF-8
    char32_t raw_base = 0;  // byte b stands there as the character raw_base + (b - 0x80)
};
[[nodiscard]] Masked mask_raw_bytes(std::string_view text);
[[nodiscard]] std::string with_raw_bytes(std::string_view text, char32_t raw_base);

// The byte that a character stands for, or -1.
[[nodiscard]] constexpr int raw_byte(char32_t code, char32_t raw_base) noexcept {
    return raw_base != 0 && code >= raw_base && code < raw_base + kRawCount ? static_cast<int>(code - raw_base + 0x80)
                                                                            : -1;
}

}  // namespace freehold::text
