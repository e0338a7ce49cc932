// The texts of the OCI layout: index.json, manifests, config blobs. Parsing is strict and bounded, since a store may be
// copied from anywhere; writing is canonical, so that equal models have equal digests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/store/store.h"

namespace freehold::layout {

inline constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr const char* kArtifactType = "application/vnd.cncf.model.manifest.v1+json";
inline constexpr const char* kConfigType = "application/vnd.cncf.model.config.v1+json";
inline constexpr const char* kTitle = "org.opencontainers.image.title";
inline constexpr const char* kFilePath = "org.cncf.model.filepath";
inline constexpr const char* kRecord = "vnd.freehold.record";
// Of a manifest in a registry: the digest of the manifest that it was in the store it came from.
inline constexpr const char* kLocalManifest = "vnd.freehold.manifest";
inline constexpr std::uint64_t kMaxManifest = 4ULL << 20;  // what registries accept at least
inline constexpr std::uint64_t kMaxIndex = 256ULL << 20;
inline constexpr std::size_t kMaxFiles = 10000;

struct IndexEntry {
    ModelName name;
    std::string digest;      // of the manifest
    std::uint64_t size = 0;  // of the manifest
};

// An index keeps entries that we do not understand (another tool's image) as they are: `foreign` holds their JSON.
struct Index {
    std::vector<IndexEntry> entries;
    std::vector<Value> foreign;
};

struct Manifest {
    std::string config_digest;
    std::uint64_t config_size = 0;
    std::vector<StoredFile> files;
    ModelRecord record;
    std::vector<std::pair<std::string, std::string>> notes;  // further annotations, written only
};

// `what` names the file in messages. All throw Error{bad_file}.
[[nodiscard]] Index parse_index(std::string_view text, std::string_view what);
[[nodiscard]] Manifest parse_manifest(std::string_view text, std::string_view what);
void check_layout_file(std::string_view text, std::string_view what);
[[nodiscard]] std::string write_index(const Index& index);
[[nodiscard]] std::string write_manifest(const Manifest& manifest);
// The record that an annotation of a manifest carries.
[[nodiscard]] ModelRecord parse_record(std::string_view text, std::string_view what);
// The ModelPack config of a model: what other tools read. Ours is the record in the manifest.
[[nodiscard]] std::string write_config(const std::string& name, const ModelRecord& record,
                                       const std::vector<StoredFile>& files);

// "sha256:" + 64 lower-case hex digits; throws Error{bad_file} otherwise.
[[nodiscard]] std::string checked_digest(std::string_view digest, std::string_view what);
[[nodiscard]] bool is_digest(std::string_view digest) noexcept;
[[nodiscard]] bool is_hex64(std::string_view hex) noexcept;

// A relative path with '/' that stays inside its folder and is made of printable UTF-8; the sentence that says what is
// wrong with it, or an empty string.
[[nodiscard]] std::string path_fault(std::string_view path);
// Media type of a layer by the name of its file.
[[nodiscard]] std::string media_type_for(std::string_view path);

}  // namespace freehold::layout
