// What the parts of the converter hand to each other.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "family.h"
#include "freehold/base/value.h"
#include "freehold/convert/convert.h"
#include "freehold/models/spec.h"

namespace freehold::convert {

// One tensor of the result; its numbers are asked for when they are written.
struct OutTensor {
    std::string name;
    DType dtype = DType::None;
    Shape shape;
    std::function<Tensor()> make;
};

enum class Target : std::uint8_t { gguf, folder };

// Every tensor of the source under the names and in the forms of the other container. `norm_shift` is added to the
// weights of norms (1, 0 or -1). The list refers to `files` and `spec`, which must outlive it.
[[nodiscard]] std::vector<OutTensor> out_tensors(const ModelFiles& files, const Family& family, const DecoderSpec& spec,
                                                 Target target, DType type, float norm_shift);

// GGUF keys of a blueprint (without tokenizer), and whether frequencies go into a tensor of their own.
[[nodiscard]] ValueMap gguf_keys(const ModelFiles& files, const Family& family, const DecoderSpec& spec,
                                 const std::string& name);
// rope_freqs.weight for blueprints with explicit divisors that GGUF has no keys for.
[[nodiscard]] std::optional<Tensor> rope_divisors(const ModelFiles& files, const DecoderSpec& spec);
// config.json of a blueprint.
[[nodiscard]] ValueMap config_json(const ModelFiles& files, const Family& family, const DecoderSpec& spec, DType type);

// Throws Error{unsupported} naming the first field in which the two blueprints do not compute the same. Fields that
// differ between containers by nature (pairs of rotary rows, +1 on norms, what is known of biases) are left out.
void check_same(const DecoderSpec& source, const DecoderSpec& result, const std::string& what);

// Keys tokenizer.ggml.* of a folder's tokenizer. `rows`: of the embedding; ids above the vocabulary are filled.
[[nodiscard]] ValueMap gguf_tokenizer(const ModelFiles& files, const std::string& architecture, int rows,
                                      std::string& how);
// Texts of a folder by file name (tokenizer.json, tokenizer_config.json, generation_config.json).
[[nodiscard]] std::vector<std::pair<std::string, std::string>> folder_tokenizer(const ModelFiles& files,
                                                                                std::string& how);

// One safetensors file. Throws Error{io}.
void write_safetensors(const std::filesystem::path& path, const std::vector<OutTensor>& tensors,
                       const std::function<void(std::uint64_t)>& done);

}  // namespace freehold::convert
