// A model of fewer bits: which tensors become what (the mixtures that GGUF files are known by), how large the file will
// be, and the writing of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/base/threads.h"
#include "freehold/formats/model_files.h"

namespace freehold {

// What a file is called by: one type for most matrices, more bits for those that need them.
struct QuantMix {
    std::string_view name;        // "q4_k_m"
    DType base = DType::F32;      // of most matrices
    std::uint32_t file_type = 0;  // GGUF general.file_type
    std::string_view what;        // one line for a person
};
[[nodiscard]] std::span<const QuantMix> quant_mixes() noexcept;
// In upper or lower case. Throws Error{usage} with the list.
[[nodiscard]] const QuantMix& quant_mix(std::string_view name);

// What the rules of a mixture look at besides the tensor.
struct MixModel {
    int n_layers = 0;
    int n_experts = 0;
    int heads_per_kv = 1;
    bool tied = true;  // no output matrix: the embedding serves as one
};
// The type that a tensor of this GGUF name gets in a mixture from F32: F32 for what mixtures leave alone.
[[nodiscard]] DType mixed_type(const QuantMix& mix, const MixModel& model, std::string_view name, const Shape& shape);

struct QuantPlanEntry {
    std::string name;
    Shape shape;
    DType from = DType::None, to = DType::None;
    bool fell_back = false;  // its width is no multiple of the block of the type that the mixture wants
    std::uint64_t bytes_from = 0, bytes_to = 0;
};

struct QuantPlan {
    std::shared_ptr<const ModelFiles> model;
    QuantMix mix;
    std::vector<QuantPlanEntry> entries;  // in the order of the source
    std::uint64_t file_bytes = 0;         // of the file that write_quantised will write
    std::uint64_t tensor_bytes_from = 0, tensor_bytes_to = 0;
    std::uint64_t n_weights = 0;
    bool requantises = false;  // some tensor that changes was quantised already
    std::string source_digest;
};

// Reads no numbers. Norms, biases, routers and other small things keep the type that they have; keys are carried on as
// they are, except those that say the type and the parts of a split file. Throws Error{unsupported} for a Hugging Face
// folder (its names and tokenizer are not GGUF's) and for a tensor without a codec.
// `source_digest` goes into the key kQuantisedFrom (origin.h); empty: no such key.
[[nodiscard]] QuantPlan plan_quantise(std::shared_ptr<const ModelFiles> model, const QuantMix& mix,
                                      std::string source_digest = {});

// Writes the planned file, whole or not at all; the bytes do not depend on the number of threads. Memory: one tensor of
// the result. Throws Error{io}, Error{bad_file} for numbers that are not finite, and what `progress` throws.
void write_quantised(const QuantPlan& plan, const std::filesystem::path& path, ThreadPool& pool,
                     const Progress& progress = {});

}  // namespace freehold
