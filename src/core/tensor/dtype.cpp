// The table of number formats: names of all ids that files may carry, traits of those that have a codec here.
// The list of codecs is written by CMake from the folder codecs/.
#include "freehold/tensor/dtype.h"

#include <array>
#include <bit>
#include <string>
#include <utility>

#include "codec_list.inc"
#include "freehold/base/error.h"

namespace freehold {
namespace {

constexpr std::pair<DType, std::string_view> kNames[] = {
    {DType::F32, "F32"},         {DType::F16, "F16"},         {DType::Q4_0, "Q4_0"},       {DType::Q4_1, "Q4_1"},
    {DType::Q5_0, "Q5_0"},       {DType::Q5_1, "Q5_1"},       {DType::Q8_0, "Q8_0"},       {DType::Q8_1, "Q8_1"},
    {DType::Q2_K, "Q2_K"},       {DType::Q3_K, "Q3_K"},       {DType::Q4_K, "Q4_K"},       {DType::Q5_K, "Q5_K"},
    {DType::Q6_K, "Q6_K"},       {DType::Q8_K, "Q8_K"},       {DType::IQ2_XXS, "IQ2_XXS"}, {DType::IQ2_XS, "IQ2_XS"},
    {DType::IQ3_XXS, "IQ3_XXS"}, {DType::IQ1_S, "IQ1_S"},     {DType::IQ4_NL, "IQ4_NL"},   {DType::IQ3_S, "IQ3_S"},
    {DType::IQ2_S, "IQ2_S"},     {DType::IQ4_XS, "IQ4_XS"},   {DType::I8, "I8"},           {DType::I16, "I16"},
    {DType::I32, "I32"},         {DType::I64, "I64"},         {DType::F64, "F64"},         {DType::IQ1_M, "IQ1_M"},
    {DType::BF16, "BF16"},       {DType::TQ1_0, "TQ1_0"},     {DType::TQ2_0, "TQ2_0"},     {DType::MXFP4, "MXFP4"},
    {DType::NVFP4, "NVFP4"},     {DType::F8_E4M3, "F8_E4M3"}, {DType::None, "none"},
};

struct Table {
    std::array<const DTypeTraits*, 256> by_id{};
    std::array<const DTypeTraits*, std::size(kCodecs)> all{};
    std::array<std::string, 256> names;

    Table() {
        for (std::size_t i = 0; i < std::size(kCodecs); ++i) {
            all[i] = &kCodecs[i]();
            by_id[static_cast<std::size_t>(all[i]->id)] = all[i];
        }
        for (std::size_t id = 0; id < names.size(); ++id) names[id] = "type " + std::to_string(id);
        for (const auto& [id, name] : kNames) names[static_cast<std::size_t>(id)] = name;
    }
};

const Table& table() noexcept {
    static const Table t;
    return t;
}

}  // namespace

const DTypeTraits* find_traits(DType dtype) noexcept {
    return table().by_id[static_cast<std::size_t>(dtype)];
}

const DTypeTraits& traits(DType dtype) {
    if (const auto* t = find_traits(dtype)) return *t;
    std::string known;
    for (const auto* t : all_traits()) known += (known.empty() ? "" : ", ") + std::string(t->name);
    throw Error(ErrorKind::unsupported,
                "Numbers stored as " + std::string(dtype_name(dtype)) + " cannot be read by this build.",
                "Use a file in one of: " + known + ".");
}

std::span<const DTypeTraits* const> all_traits() noexcept {
    return table().all;
}

std::string_view dtype_name(DType dtype) noexcept {
    return table().names[static_cast<std::size_t>(dtype)];
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
    for (const auto& [id, known] : kNames)
        if (known == name && id != DType::None) return id;
    return std::nullopt;
}

float f16_to_f32(std::uint16_t h) noexcept {
    const std::uint32_t sign = (h & 0x8000U) << 16;
    const std::uint32_t exponent = (h >> 10) & 0x1FU;
    const std::uint32_t mantissa = h & 0x3FFU;
    if (exponent == 0x1F) {  // infinity, or NaN made quiet as the hardware does
        const std::uint32_t quiet = mantissa != 0 ? 0x400000U : 0U;
        return std::bit_cast<float>(sign | 0x7F800000U | quiet | (mantissa << 13));
    }
    if (exponent == 0) {  // zero or denormal: mantissa * 2^-24, exact
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
    }
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

std::uint16_t f32_to_f16(float f) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(f);
    const std::uint32_t sign = (bits >> 16) & 0x8000U;
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U)
        return static_cast<std::uint16_t>(sign | 0x7E00U | ((magnitude >> 13) & 0x3FFU));  // NaN keeps its top bits
    if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);       // rounds to infinity
    if (magnitude < 0x38800000U) {
        // Denormal in F16: adding 0.5 puts the unit in the last place at 2^-24, so the hardware rounds to even for us.
        const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
        return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
    }
    const std::uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
    return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

std::uint16_t f32_to_bf16(float f) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(f);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
    return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace freehold
