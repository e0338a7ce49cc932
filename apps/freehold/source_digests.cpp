// Only files that hold tensors count: a folder's texts may change and leave it the same model.
#include "source_digests.h"

#include <set>
#include <vector>

#include "freehold/base/hash.h"
#include "freehold/formats/origin.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

std::string known_digest(const Store& store, const LocatedModel& located, const fs::path& file) {
    if (!located.stored) return {};
    for (const StoredFile& stored : located.stored->files) {
        std::error_code ec;
        if (fs::equivalent(store.file_path(stored), file, ec) && !ec) return stored.digest;
    }
    return {};
}

}  // namespace

std::string digests_of_source(const Store& store, const LocatedModel& located, const ModelFiles& model,
                              const Progress& progress) {
    std::set<std::uint32_t> with_tensors;
    for (const TensorEntry& entry : model.entries()) with_tensors.insert(entry.file);
    std::vector<std::string> digests;
    for (const std::uint32_t index : with_tensors) {
        if (digests.size() == kMostSources) break;
        const fs::path& file = model.files()[index];
        std::string digest = known_digest(store, located, file);
        if (digest.empty())
            digest = "sha256:" + sha256_file(file, [&](std::uint64_t done, std::uint64_t total) {
                         if (progress) progress({"reading " + file.filename().string(), done, total, "B"});
                     });
        digests.push_back(std::move(digest));
    }
    return digests_text(digests);
}

}  // namespace freehold::cli
