// Sizes of every block format that files may carry, and the one place where tensors become views into mapped files.
#include "builder.h"

#include <fmt/format.h>

#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"

namespace freehold {

BlockSize block_size(DType dtype) noexcept {
    switch (dtype) {
        case DType::F64:
        case DType::I64:
            return {1, 8};
        case DType::F32:
        case DType::I32:
            return {1, 4};
        case DType::F16:
        case DType::BF16:
        case DType::I16:
            return {1, 2};
        case DType::I8:
        case DType::F8_E4M3:
            return {1, 1};
        case DType::Q4_0:
            return {32, 18};
        case DType::Q4_1:
            return {32, 20};
        case DType::Q5_0:
            return {32, 22};
        case DType::Q5_1:
            return {32, 24};
        case DType::Q8_0:
            return {32, 34};
        case DType::Q8_1:
            return {32, 36};
        case DType::Q2_K:
            return {256, 84};
        case DType::Q3_K:
            return {256, 110};
        case DType::Q4_K:
            return {256, 144};
        case DType::Q5_K:
            return {256, 176};
        case DType::Q6_K:
            return {256, 210};
        case DType::Q8_K:
            return {256, 292};
        case DType::IQ2_XXS:
            return {256, 66};
        case DType::IQ2_XS:
            return {256, 74};
        case DType::IQ3_XXS:
            return {256, 98};
        case DType::IQ1_S:
            return {256, 50};
        case DType::IQ4_NL:
            return {32, 18};
        case DType::IQ3_S:
            return {256, 110};
        case DType::IQ2_S:
            return {256, 82};
        case DType::IQ4_XS:
            return {256, 136};
        case DType::IQ1_M:
            return {256, 56};
        case DType::TQ1_0:
            return {256, 54};
        case DType::TQ2_0:
            return {256, 66};
        case DType::MXFP4:
            return {32, 17};
        case DType::NVFP4:
            return {64, 36};
        case DType::None:
            break;
    }
    return {};
}

ModelFilesBuilder::ModelFilesBuilder(Container container, std::filesystem::path path)
    : made_(std::make_shared<ModelFiles>()) {
    made_->container_ = container;
    made_->path_ = std::move(path);
}

std::uint32_t ModelFilesBuilder::map(const std::filesystem::path& path) {
    const auto mapped = MappedFile::open(path);
    auto storage = std::make_shared<Storage>();
    storage->bytes = mapped->bytes().data();
    storage->size = mapped->bytes().size();
    storage->keep = mapped;
    storage->mapped = true;
    const auto index = static_cast<std::uint32_t>(made_->files_.size());
    made_->files_.push_back(path);
    storages_.emplace(index, std::move(storage));
    return index;
}

std::span<const std::byte> ModelFilesBuilder::bytes(std::uint32_t file) const {
    const Storage& storage = *storages_.at(file);
    return {storage.bytes, storage.size};
}

void ModelFilesBuilder::list_file(std::filesystem::path path) {
    made_->files_.push_back(std::move(path));
}

void ModelFilesBuilder::add_name(const TensorEntry& entry) {
    if (!names_.insert(entry.name).second) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{}: tensor \"{}\" is in an earlier file too.", made_->files_[entry.file].string(),
                                printable(entry.name)),
                    "The files do not belong together: get them again from one place.");
    }
}

void ModelFilesBuilder::add(TensorEntry entry, Tensor tensor) {
    add_name(entry);
    if (find_traits(entry.dtype) != nullptr) made_->tensors_.emplace(entry.name, std::move(tensor));
    made_->entries_.push_back(std::move(entry));
}

void ModelFilesBuilder::add(TensorEntry entry) {
    const auto& storage = storages_.at(entry.file);
    if (!fits(entry.offset, entry.nbytes, storage->size)) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{}: tensor \"{}\" goes past the end of the file.", made_->files_[entry.file].string(),
                                printable(entry.name)),
                    kDamagedHint);
    }
    add_name(entry);
    // What cannot be read is listed all the same: only who needs its numbers has to refuse it.
    if (find_traits(entry.dtype) != nullptr && entry.shape.size() <= 4 && storage->bytes != nullptr) {
        made_->tensors_.emplace(entry.name, Tensor(entry.dtype, Shape(entry.shape), storage, entry.offset));
    }
    made_->entries_.push_back(std::move(entry));
}

}  // namespace freehold
