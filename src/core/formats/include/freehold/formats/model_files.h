// One model as it lies on disk, whatever the container: metadata as a tree of values, tensors as views into mapped
// files, and the texts beside them (tokenizer, template). Everything here is hostile until parsed (law 6).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/tensor/tensor.h"

namespace freehold {

enum class Container : std::uint8_t {
    gguf,     // one file, or parts "-00001-of-00003.gguf" (any part may be named)
    hf,       // a Hugging Face folder: config.json + *.safetensors (+ index)
    llama2c,  // llama2.c's small checkpoint with tok512.bin beside it; presented with GGUF keys and tensor names
};
[[nodiscard]] const char* container_name(Container c) noexcept;

// One tensor as the files declare it, whether or not this build can read its numbers.
struct TensorEntry {
    std::string name;
    DType dtype = DType::None;        // None: a type that has no place in DType (BOOL, U8, ... of safetensors)
    std::string type_name;            // "Q4_K", "BOOL"
    std::vector<std::int64_t> shape;  // outermost first
    std::uint64_t nbytes = 0;
    std::uint32_t file = 0;    // index into ModelFiles::files()
    std::uint64_t offset = 0;  // of the first byte, in that file
};

// Immutable after open(); any thread may read it. Mapped files stay mapped as long as it or one of its tensors lives.
class ModelFiles {
 public:
    // A .gguf file (any part of a split one), a folder, a .safetensors file (its folder is meant), or a llama2.c .bin.
    // A folder without config.json and safetensors that holds one GGUF model is that model. Also opens files without
    // weights (vocabulary-only GGUF, a folder with a tokenizer alone). Throws Error{not_found|bad_file|unsupported}; a
    // file of another kind (a bare tokenizer.json, a template, a pickle) gets a sentence that says what it is.
    static std::shared_ptr<const ModelFiles> open(const std::filesystem::path& path);

    [[nodiscard]] Container container() const noexcept { return container_; }
    // The file, the first part of a split file, or the folder.
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    // GGUF general.architecture, or config.json model_type; empty when there is neither.
    [[nodiscard]] const std::string& architecture() const noexcept { return architecture_; }
    // GGUF keys, or config.json as it is. Use freehold::find(meta(), "llama.block_count") or find(meta(),
    // "rope_scaling.factor").
    [[nodiscard]] const ValueMap& meta() const noexcept { return meta_; }
    // Hugging Face folders: generation_config.json, tokenizer_config.json, special_tokens_map.json, added_tokens.json,
    // chat_template.json, sentence_bert_config.json and 1_Pooling/config.json by name, null if absent ("tokenizer.json"
    // is not parsed here).
    [[nodiscard]] const ValueMap* side_json(std::string_view name) const noexcept;
    // Raw bytes of a file in the folder ("tokenizer.json", "tokenizer.model", "chat_template.jinja"), nullopt if it
    // does not exist or the model is no folder. At most 256 MB; a name with a path in it is Error{usage}.
    [[nodiscard]] std::optional<std::string> side_text(std::string_view name) const;

    // Tensors whose numbers this build can read, as views into the mapped files.
    [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const noexcept { return tensors_; }
    [[nodiscard]] const Tensor* find_tensor(std::string_view name) const noexcept;
    // As find_tensor, but throws: Error{unsupported} if the files have it in a type without a codec, else
    // Error{bad_file}.
    [[nodiscard]] const Tensor& tensor(std::string_view name) const;
    // Everything that the files declare, in the order of the files and of the bytes in them.
    [[nodiscard]] const std::vector<TensorEntry>& entries() const noexcept { return entries_; }
    // The files that make up the model, in a stable order, for digests and listings.
    [[nodiscard]] const std::vector<std::filesystem::path>& files() const noexcept { return files_; }

 protected:
    friend class ModelFilesBuilder;  // the readers: gguf_model.cpp, hf_folder.cpp, llama2c.cpp
    Container container_ = Container::gguf;
    std::filesystem::path path_;
    std::string architecture_;
    ValueMap meta_;
    std::map<std::string, ValueMap, std::less<>> side_json_;
    std::map<std::string, Tensor, std::less<>> tensors_;
    std::vector<TensorEntry> entries_;
    std::vector<std::filesystem::path> files_;
};

}  // namespace freehold
