// How the readers fill a ModelFiles: files are mapped once, tensors are placed with every bound checked, names never
// repeat.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "freehold/formats/model_files.h"

namespace freehold {

// Values in a block and bytes of a block, also for types without a codec; bytes 0 for ids that nobody knows.
struct BlockSize {
    std::uint32_t values = 1, bytes = 0;
};
[[nodiscard]] BlockSize block_size(DType dtype) noexcept;

class ModelFilesBuilder {
 public:
    ModelFilesBuilder(Container container, std::filesystem::path path);

    // Maps a file and takes it up as one of the model's.
    std::uint32_t map(const std::filesystem::path& path);
    [[nodiscard]] std::span<const std::byte> bytes(std::uint32_t file) const;
    [[nodiscard]] const std::filesystem::path& file_path(std::uint32_t file) const { return made_->files_.at(file); }
    // A file that belongs to the model but carries no tensors (config.json).
    void list_file(std::filesystem::path path);

    ValueMap& meta() noexcept { return made_->meta_; }
    void set_architecture(std::string name) { made_->architecture_ = std::move(name); }
    void set_path(std::filesystem::path path) { made_->path_ = std::move(path); }
    void set_side_json(std::string name, ValueMap map) {
        made_->side_json_.insert_or_assign(std::move(name), std::move(map));
    }
    [[nodiscard]] bool has_tensor(std::string_view name) const { return names_.contains(name); }
    // entry.offset and nbytes have been checked by the reader; a name that is there already is Error{bad_file}.
    void add(TensorEntry entry);
    // The same for numbers that lie elsewhere or in another order in the file, given as `tensor`.
    void add(TensorEntry entry, Tensor tensor);
    [[nodiscard]] std::size_t n_entries() const noexcept { return made_->entries_.size(); }

    [[nodiscard]] std::shared_ptr<const ModelFiles> finish() { return std::move(made_); }

 private:
    void add_name(const TensorEntry& entry);
    std::shared_ptr<ModelFiles> made_;
    std::map<std::uint32_t, std::shared_ptr<const Storage>> storages_;
    std::set<std::string, std::less<>> names_;
};

// One reader per container; model_files.cpp chooses.
[[nodiscard]] std::shared_ptr<const ModelFiles> open_gguf(const std::filesystem::path& path);
// `weights` names one .safetensors file to use, or is empty: the folder's own.
[[nodiscard]] std::shared_ptr<const ModelFiles> open_hf_folder(const std::filesystem::path& folder,
                                                               const std::filesystem::path& weights);
[[nodiscard]] std::shared_ptr<const ModelFiles> open_llama2c(const std::filesystem::path& path);
// The tensors of a file that torch.save wrote, which `file` of the builder is; those that are not laid out as rows are
// copied. `homes` as in an index: names of other files' tensors are left out.
void add_torch_file(ModelFilesBuilder& builder, std::uint32_t file,
                    const std::map<std::string, std::string, std::less<>>* homes);
// Does this look like the header of a llama2.c checkpoint of that size?
[[nodiscard]] bool looks_like_llama2c(std::span<const std::byte> header, std::uint64_t file_size) noexcept;

inline constexpr const char* kDamagedHint = "The file may be cut off or damaged: get it again and compare its SHA-256.";

}  // namespace freehold
