// Weights of Hugging Face folders that are kept in parts: FP8 with scales, GPTQ and AWQ with four-bit integers, MXFP4
// with codes and scales apart (gpt-oss). Each is expanded on demand to a type that the kernels have, without loss
// (docs/decisions/0010): what config.json's "quantization_config" says is held against the tensors. DeepSeek-V3's
// weight_dequant; AutoGPTQ's QuantLinear (checkpoint formats gptq and gptq_v2); AutoAWQ's GEMM form.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/file.h"
#include "freehold/formats/model_files.h"

namespace freehold {

// The bytes of a tensor whose type has no codec of its own (I32, F8_E4M3; U8 for MXFP4, as DType::None).
struct RawTensor {
    DType dtype = DType::None;
    Shape shape;
    std::span<const std::byte> bytes;
    [[nodiscard]] const std::byte* data() const noexcept { return bytes.data(); }
};

class QuantisedFolder {
 public:
    // Null where the model is no folder or its config.json has no "quantization_config". Throws Error{unsupported}
    // naming the key for methods and switches that are not handled.
    static std::unique_ptr<const QuantisedFolder> of(const ModelFiles& files);

    // Is "X.weight" there in parts? With MXFP4 "X" itself, whose parts are "X_blocks" and "X_scales".
    [[nodiscard]] bool holds(std::string_view name) const;
    // Those of tensors() that belong to it (scales).
    [[nodiscard]] std::vector<const Tensor*> parts(std::string_view name) const;
    // [out, in] (MXFP4: [experts, out, in]), fresh memory: MXFP4, Q4_0 (zeros of 8), Q5_0 (other zeros), BF16 (FP8
    // whose products are brain floats), else F32; each holds exactly the numbers of the definition. Throws
    // Error{bad_file} naming tensor, shape and what was expected.
    [[nodiscard]] Tensor expand(std::string_view name) const;

 private:
    enum class Method : std::uint8_t { fp8, gptq, awq, mxfp4 };
    struct Integers;  // of one linear, not yet in a type
    explicit QuantisedFolder(const ModelFiles& files) : files_(files) {}
    void map_raw_tensors();
    [[nodiscard]] const RawTensor* raw(std::string_view stem, std::string_view ending) const;
    [[nodiscard]] const Tensor* part(std::string_view stem, std::string_view ending) const;
    [[nodiscard]] const RawTensor& must(std::string_view stem, std::string_view ending, DType dtype) const;
    [[nodiscard]] Tensor expand_fp8(std::string_view stem) const;
    [[nodiscard]] Tensor read_mxfp4(std::string_view name) const;
    [[nodiscard]] Integers read_gptq(std::string_view stem) const;
    [[nodiscard]] Integers read_awq(std::string_view stem) const;
    [[noreturn]] void fail(std::string_view stem, std::string_view ending, const std::string& why) const;

    const ModelFiles& files_;
    std::vector<std::shared_ptr<const MappedFile>> mapped_;  // by file; null where none is needed
    std::map<std::string, RawTensor, std::less<>> raws_;
    Method method_ = Method::fp8;
    std::int64_t block_rows_ = 128, block_cols_ = 128;
    std::int64_t group_ = 0;  // 0: all inputs
    bool zero_plus_one_ = false;
};

}  // namespace freehold
