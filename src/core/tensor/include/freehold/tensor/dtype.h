// What a number is stored as. A format is one traits row and one codec file (tensor/codecs/NAME.cpp); nothing else
// in the program switches on a dtype. Values of DType are the type ids of GGUF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace freehold {

enum class DType : std::uint8_t {
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q8_1 = 9,
    Q2_K = 10,
    Q3_K = 11,
    Q4_K = 12,
    Q5_K = 13,
    Q6_K = 14,
    Q8_K = 15,
    IQ2_XXS = 16,
    IQ2_XS = 17,
    IQ3_XXS = 18,
    IQ1_S = 19,
    IQ4_NL = 20,
    IQ3_S = 21,
    IQ2_S = 22,
    IQ4_XS = 23,
    I8 = 24,
    I16 = 25,
    I32 = 26,
    I64 = 27,
    F64 = 28,
    IQ1_M = 29,
    BF16 = 30,
    TQ1_0 = 34,
    TQ2_0 = 35,
    MXFP4 = 39,
    NVFP4 = 40,
    F8_E4M3 = 200,  // not a GGUF type: Hugging Face folders only
    None = 255,
};

// Where a panel of 16 rows keeps the scales (and minimums) of a block of 32.
enum class ScaleForm : std::uint8_t {
    f32,    // one F32 per row and block
    f16,    // one F16 per row and block; exact, because the format stores them so
    super,  // one F16 per row and 256 inputs, times a signed 8-bit integer per row and block (K-quants)
};

// How a quantised format meets the int8 kernels (NUMERICS rule 4): 32 unsigned codes with a common offset, a scale per
// 32 and perhaps a minimum; formats with a scale per 16 keep those two as integers inside the 32.
struct QuantForm {
    std::uint8_t bits = 0;      // bits of a stored code: 2, 3, 4, 5, 6 or 8; panels keep them packed
    std::uint8_t zero = 0;      // weight = scale * (value - zero) [+ min]
    std::uint8_t max_code = 0;  // largest value that can occur
    bool has_min = false;       // one more term: min * sum of activations
    bool has_half = false;      // weight = scale * half[k/16] * (value - zero)
    bool has_half_min = false;  // with has_half and has_min: + min * half_min[k/16] in place of + min
    ScaleForm scales = ScaleForm::f32;
    const std::uint8_t* table = nullptr;  // 16 values that 4-bit codes stand for; null: a code is its value
};

// One block of 32 weights of one row, in the common form that all quantised formats expand to.
// scale * scale_code and min * min_code are exact in F32 for every format (11 bits times at most 8).
struct CodeBlock {
    std::uint8_t code[32];
    float scale = 0;
    float min = 0;               // has_min: the term that is added (already with its sign)
    std::int8_t scale_code = 1;  // ScaleForm::super: the block's integer; `scale` is then common to 256 inputs
    std::int8_t min_code = 1;    // the same for min; with has_half, has_half_min these two stay 1
    std::int8_t half[2] = {1, 1};
    std::uint8_t half_min[2] = {1, 1};

    [[nodiscard]] float block_scale() const noexcept { return scale * static_cast<float>(scale_code); }
    [[nodiscard]] float block_min() const noexcept { return min * static_cast<float>(min_code); }
};

// The same block as panels keep it: nothing is left to do but to lay sixteen rows side by side.
struct PackedBlock {
    std::uint32_t plane[8] =
        {};                   // the row's four bytes of each plane, in the order that kernels.h tells; `bits` of them
    std::uint16_t scale = 0;  // bits of the F16 that `scale` and `min` of the CodeBlock are,
    std::uint16_t min = 0;    // a NaN made quiet
    std::int8_t scale_code = 1, min_code = 1;
    std::int8_t half[2] = {1, 1};
    std::uint8_t half_min[2] = {1, 1};
};

struct DTypeTraits {
    DType id = DType::None;
    std::string_view name;    // as in GGUF tools: "Q4_K"
    std::uint32_t block = 1;  // values in a block
    std::uint32_t bytes = 0;  // bytes of a block
    bool quantised = false;
    QuantForm form{};  // quantised formats only
    // Exact expansion to F32 of n values (a multiple of block), bit-equal to the reference of the format.
    void (*to_f32)(const std::byte* src, float* dst, std::size_t n) = nullptr;
    // Quantised only: n values (a multiple of 32 and of block) to n/32 code blocks.
    void (*to_codes)(const std::byte* src, CodeBlock* dst, std::size_t n) = nullptr;
    // The short way to panels, for formats whose scales are F16: as to_codes, and to the same panels, without going
    // through floats and single codes. Null: panels are made from to_codes.
    void (*to_packed)(const std::byte* src, PackedBlock* dst, std::size_t n) = nullptr;
    // F32 to this format where a quantiser exists (round to nearest even for F16 and BF16); else null.
    void (*from_f32)(const float* src, std::byte* dst, std::size_t n) = nullptr;
};

// The row of a dtype that this build knows, or null (a known id without a codec is "unsupported", not an error of the
// file).
[[nodiscard]] const DTypeTraits* find_traits(DType dtype) noexcept;
// As find_traits, but throws Error{unsupported} naming the type.
[[nodiscard]] const DTypeTraits& traits(DType dtype);
[[nodiscard]] std::span<const DTypeTraits* const> all_traits() noexcept;
// Name of any id, also of those without a codec; "type 77" for unknown ones.
[[nodiscard]] std::string_view dtype_name(DType dtype) noexcept;
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name) noexcept;

// Half and brain floats, exact both ways (to_*: round to nearest even).
[[nodiscard]] float f16_to_f32(std::uint16_t h) noexcept;
[[nodiscard]] std::uint16_t f32_to_f16(float f) noexcept;
[[nodiscard]] inline float bf16_to_f32(std::uint16_t h) noexcept {
    return __builtin_bit_cast(float, std::uint32_t{h} << 16);
}
[[nodiscard]] std::uint16_t f32_to_bf16(float f) noexcept;

}  // namespace freehold
