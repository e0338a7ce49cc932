// Which advisories hit a model: by what it consists of, and by what it was made from.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/advisory/register.h"
#include "freehold/base/progress.h"
#include "freehold/store/store.h"

namespace freehold::advisory {

struct Hit {
    Kept kept;
    Affected affected;     // the entry that matched
    std::string part;      // which file, or "this version"
    std::string ancestor;  // the model it was made from that is hit; empty: it is hit itself
};

// A stored model, its files by the digests of the manifest, and its ancestors as far as the store knows them; of those
// that are not here, the digests that the manifest names.
[[nodiscard]] std::vector<Hit> check(const Store& store, const StoredModel& model, const std::vector<Kept>& kept);

// Files that are in no store. `digest` empty: only hashed when an advisory names a file of that size (or of none).
struct LooseFile {
    std::string name;
    std::filesystem::path at;
    std::string digest;  // "sha256:..."
};
[[nodiscard]] std::vector<Hit> check_files(const std::vector<LooseFile>& files, const std::vector<Kept>& kept,
                                           const Progress& progress = {});
// Versions by the digests of their manifests: what a model that is about to be kept says of itself and its parents.
[[nodiscard]] std::vector<Hit> check_versions(const std::vector<std::string>& digests, const std::vector<Kept>& kept);

// Models of the store that were made from what an advisory hits, and those hit themselves: name and hit.
[[nodiscard]] std::vector<std::pair<StoredModel, Hit>> all_hits(const Store& store, const std::vector<Kept>& kept);

// What happens when a model is hit.
enum class Policy : std::uint8_t {
    off,     // nothing is looked at
    warn,    // told, never refused
    recall,  // recalled or critical ones are refused, others told (the default)
    all,     // every one is refused
};
[[nodiscard]] Policy policy_from(std::string_view name);  // Error{usage} with the names
// Only what a trusted key signed refuses anything; the rest warns.
[[nodiscard]] bool refuses(Policy policy, const Hit& hit) noexcept;

// "FH-2026-1 (critical, recalled, signed by publisher): summary. It hits model.gguf."
[[nodiscard]] std::string sentence(const Hit& hit);

}  // namespace freehold::advisory
