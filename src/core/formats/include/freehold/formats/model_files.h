// One model as it lies on disk, whatever the container: metadata as a tree of values, tensors as views into mapped files,
// and the texts beside them (tokenizer, template). Everything here is hostile until parsed (law 6).
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
    gguf,      // one file, or parts "-00001-of-00003.gguf" (any part may be named)
    hf,        // a Hugging Face folder: config.json + *.safetensors (+ index)
    llama2c,   // llama2.c's small checkpoint with tok512.bin beside it; presented with GGUF keys and tensor names
};
[[nodiscard]] const char* container_name(Container c) noexcept;

class ModelFiles {
   public:
    // A .gguf file, a folder, a .safetensors file (its folder is meant), or a llama2.c .bin. Also opens files without
    // weights (vocabulary-only GGUF, a folder with a tokenizer alone). Throws Error{not_found|bad_file|unsupported}.
    static std::shared_ptr<const ModelFiles> open(const std::filesystem::path& path);

    [[nodiscard]] Container container() const noexcept { return container_; }
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    // GGUF general.architecture, or config.json model_type; empty when there is neither.
    [[nodiscard]] const std::string& architecture() const noexcept { return architecture_; }
    // GGUF keys, or config.json as it is. Use freehold::find(meta(), "llama.block_count") or find(meta(), "rope_scaling.factor").
    [[nodiscard]] const ValueMap& meta() const noexcept { return meta_; }
    // Hugging Face folders: other JSON files by name ("tokenizer.json" is not parsed here), null if absent.
    [[nodiscard]] const ValueMap* side_json(std::string_view name) const noexcept;   // generation_config.json, tokenizer_config.json
    // Raw bytes of a small file in the folder ("tokenizer.json", "tokenizer.model", "chat_template.jinja"), if it exists.
    [[nodiscard]] std::optional<std::string> side_text(std::string_view name) const;

    [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const noexcept { return tensors_; }
    [[nodiscard]] const Tensor* find_tensor(std::string_view name) const noexcept;
    // The files that make up the model, in a stable order, for digests and listings.
    [[nodiscard]] const std::vector<std::filesystem::path>& files() const noexcept { return files_; }

   protected:
    friend struct ModelFilesBuilder;   // the readers: gguf.cpp, hf_folder.cpp, llama2c.cpp
    Container container_ = Container::gguf;
    std::filesystem::path path_;
    std::string architecture_;
    ValueMap meta_;
    std::map<std::string, ValueMap, std::less<>> side_json_;
    std::map<std::string, Tensor, std::less<>> tensors_;
    std::vector<std::filesystem::path> files_;
};

}  // namespace freehold
