// Base64 both ways; what is not exactly what to_base64 would write is refused, so that nothing hides in an encoding.
#include "base64.h"

#include <array>
#include <cstdint>

namespace freehold::bundle {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::array<std::int8_t, 256> values() {
    std::array<std::int8_t, 256> out{};
    out.fill(-1);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
        out[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
    return out;
}

}  // namespace

std::string to_base64(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t bits = 0;
        for (std::size_t j = 0; j < 3; ++j)
            bits = (bits << 8U) | (j < n ? static_cast<unsigned char>(bytes[i + j]) : 0U);
        for (std::size_t j = 0; j < 4; ++j) out += j <= n ? kAlphabet[(bits >> (18U - 6U * j)) & 63U] : '=';
    }
    return out;
}

std::optional<std::string> from_base64(std::string_view text) {
    static const std::array<std::int8_t, 256> kValues = values();
    if (text.size() % 4 != 0) return std::nullopt;
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    std::string out;
    out.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        const std::size_t filler = i + 4 == text.size() ? padding : 0;
        std::uint32_t bits = 0;
        for (std::size_t j = 0; j < 4; ++j) {
            const std::int8_t value =
                j >= 4 - filler ? std::int8_t{0} : kValues[static_cast<unsigned char>(text[i + j])];
            if (value < 0) return std::nullopt;
            bits = (bits << 6U) | static_cast<std::uint32_t>(value);
        }
        if ((filler == 1 && (bits & 0xFFU) != 0) || (filler == 2 && (bits & 0xFFFFU) != 0)) return std::nullopt;
        for (std::size_t j = 0; j + filler < 3; ++j) out += static_cast<char>((bits >> (16U - 8U * j)) & 0xFFU);
    }
    return out;
}

}  // namespace freehold::bundle
