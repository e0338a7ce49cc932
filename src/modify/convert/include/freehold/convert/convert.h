// A model from one container into another. The result computes what the source computes: names and transforms come from
// the table that the loader uses, and what was written is opened again and held against the source before it takes its
// place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/formats/model_files.h"

namespace freehold {

struct ConvertOptions {
    // Of the matrices: None keeps what the source has where the container can hold it (a folder holds F32, F16 and
    // BF16: there, blocks become F32). F32, F16 or BF16 otherwise. Norms and biases are F32 in GGUF, and stay what they
    // are in a folder.
    DType type = DType::None;
    bool tokenizer = true;  // false: leave it out
    std::string name;       // general.name; empty: that of the source
    // Digests of the source's files with weights, as the key kConvertedFrom holds them (origin.h); empty: no such key.
    // What the source names as its own sources goes along in any case.
    std::string source;
};

struct ConvertReport {
    std::string family;
    std::uint64_t tensors = 0, bytes = 0;
    std::string tokenizer;             // how it was carried; empty: it was not
    std::vector<std::string> remarks;  // what has no place in the other container
};

// `to`: a .gguf file. Throws Error{unsupported} naming what cannot be carried, Error{bad_file}, Error{io}.
ConvertReport convert_to_gguf(std::shared_ptr<const ModelFiles> from, const std::filesystem::path& to,
                              const ConvertOptions& options, const Progress& progress = {});
// `to`: a folder that does not exist yet; it appears when it is whole.
ConvertReport convert_to_folder(std::shared_ptr<const ModelFiles> from, const std::filesystem::path& to,
                                const ConvertOptions& options, const Progress& progress = {});

}  // namespace freehold
