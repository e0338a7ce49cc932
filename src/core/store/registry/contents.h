// What a manifest in a registry brings: which of its layers are files of a model, and under which names.
// Read: ModelPack and ORAS artefacts whose layers are files as they are, and Ollama's layout. Hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../layout.h"
#include "freehold/base/value.h"

namespace freehold::registry {

struct Layer {
    std::string media_type, digest;
    std::uint64_t size = 0;
    std::string path;  // from its annotations; empty: it has none
};

struct RemoteFile {
    std::string path;    // inside the model; checked
    std::string digest;  // "sha256:..."
    std::uint64_t size = 0;
};

// A layer of Ollama's that is no file but a setting: fetched as a whole, and put under `key` of the settings.
struct RemoteSetting {
    std::string key;  // "system", "template", "parameters", "messages"
    std::string digest;
    std::uint64_t size = 0;
    bool json = false;
};

struct Contents {
    std::vector<RemoteFile> files;
    std::vector<RemoteSetting> settings;
    std::string config_type, config_digest;
    std::uint64_t config_size = 0;
    ModelRecord record;                 // of a manifest that Freehold pushed; else nearly empty
    std::string local_manifest;         // the digest that the publisher's own store knows it by; may be empty
    std::vector<std::string> left_out;  // sentences
};

// `what` names the manifest in messages, `file` the one file that is wanted (or empty). Throws Error{bad_file|
// unsupported|usage|not_found}.
[[nodiscard]] Contents read_contents(std::string_view manifest, const std::string& what, const std::string& file);

// The digest of the one manifest in an index that is a model; Error{usage} that lists them when it is not one.
[[nodiscard]] std::string choose_manifest(std::string_view index, const std::string& what);
// Is it a list of manifests instead of one?
[[nodiscard]] bool is_index(std::string_view media_type, std::string_view text);

}  // namespace freehold::registry
