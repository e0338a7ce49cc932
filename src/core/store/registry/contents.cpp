// Manifests of other publishers, layer by layer. A layer becomes a file only with a name that stays inside its folder;
// what is packed (tar) or belongs to a model of another kind is refused with a sentence, or left out and told.
#include "contents.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "../json.h"
#include "../selection.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold::registry {
namespace {

constexpr std::string_view kOllama = "application/vnd.ollama.image.";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::uint64_t kMaxSetting = 4ULL << 20;

[[noreturn]] void bad(const std::string& what, const std::string& message) {
    throw Error(ErrorKind::bad_file, fmt::format("{}: {}", what, message),
                "Its publisher must push it again; nothing was kept.");
}

Layer read_layer(const Value& item, const std::string& what, std::size_t i) {
    const ValueMap& map = json::object(item, what, fmt::format("layers[{}]", i));
    Layer out;
    out.media_type = json::text(map, "mediaType", what);
    out.digest = layout::checked_digest(json::text(map, "digest", what), what);
    out.size = json::size(map, "size", what);
    if (const ValueMap* notes = json::maybe_object(map, "annotations", what)) {
        out.path = json::text(*notes, layout::kFilePath, what, false);
        if (out.path.empty()) out.path = json::text(*notes, layout::kTitle, what, false);
        if (json::text(*notes, "io.deis.oras.content.unpack", what, false) == "true")
            out.media_type += "+tar";  // a folder, packed
    }
    return out;
}

bool is_packed(const Layer& layer) {
    const std::string_view type = layer.media_type;
    return type.find(".tar") != std::string_view::npos || type.ends_with("+gzip") || type.ends_with("+zstd") ||
           type.ends_with("+tar");
}

void add_file(Contents& out, std::set<std::string>& names, const std::string& what, const std::string& path,
              const Layer& layer) {
    const std::string fault = layout::path_fault(path);
    if (!fault.empty()) bad(what, fmt::format("the file name \"{}\" is refused: {}.", printable(path), fault));
    if (!names.insert(path).second) bad(what, fmt::format("the file \"{}\" stands there twice.", path));
    out.files.push_back({path, layer.digest, layer.size});
}

// "a" and "a/b" cannot both be files of one folder.
void check_folders(const std::set<std::string>& names, const std::string& what) {
    for (const std::string& path : names) {
        for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
            if (names.contains(path.substr(0, slash)))
                bad(what, fmt::format("\"{}\" is named as a file and as a folder.", path.substr(0, slash)));
        }
    }
}

void take_ollama(Contents& out, const std::vector<Layer>& layers, const std::string& what) {
    std::set<std::string> names;
    int licences = 0;
    for (const Layer& layer : layers) {
        if (!layer.media_type.starts_with(kOllama)) {
            out.left_out.push_back(fmt::format("a layer of type {}", printable(layer.media_type)));
            continue;
        }
        const std::string_view kind = std::string_view(layer.media_type).substr(kOllama.size());
        if (kind == "model") {
            if (names.contains("model.gguf"))
                throw Error(ErrorKind::unsupported, fmt::format("{} holds several model files.", what),
                            "Use another source of this model.");
            add_file(out, names, what, "model.gguf", layer);
        } else if (kind == "license") {
            ++licences;
            add_file(out, names, what, licences == 1 ? "LICENSE" : fmt::format("LICENSE.{}", licences), layer);
        } else if (kind == "system" || kind == "template") {
            out.settings.push_back({std::string(kind), layer.digest, layer.size, false});
        } else if (kind == "params" || kind == "messages") {
            out.settings.push_back({kind == "params" ? "parameters" : "messages", layer.digest, layer.size, true});
        } else if (kind == "adapter" || kind == "tensor") {
            throw Error(ErrorKind::unsupported,
                        kind == "adapter" ? fmt::format("{} puts an adapter over its model.", what)
                                          : fmt::format("{} keeps its weights tensor by tensor, not as GGUF.", what),
                        "Use another source of this model (hf:org/repo).");
        } else {
            out.left_out.push_back(fmt::format("its {} (not used here)", printable(kind)));
        }
    }
    for (const RemoteSetting& setting : out.settings) {
        if (setting.size > kMaxSetting)
            bad(what, fmt::format("its {} has {} bytes; {} is the most.", setting.key, setting.size, kMaxSetting));
    }
    if (out.files.empty() || !names.contains("model.gguf")) bad(what, "it lists no model.");
}

void take_files(Contents& out, const std::vector<Layer>& layers, const std::string& what, const std::string& wanted,
                bool ours) {
    std::vector<selection::Candidate> candidates;
    std::set<std::string> names;
    Contents all;
    std::string packed;
    for (const Layer& layer : layers) {
        if (is_packed(layer)) {
            packed = layer.path.empty() ? layer.media_type : layer.path;
            continue;
        }
        if (layer.path.empty()) {
            out.left_out.push_back(fmt::format("a layer of type {} without a name", printable(layer.media_type)));
            continue;
        }
        add_file(all, names, what, layer.path, layer);
        candidates.push_back({layer.path, layer.size});
        if (ours && selection::is_pickle_name(layer.path))
            throw Error(ErrorKind::unsupported,
                        fmt::format("{} carries {}, a Python pickle, which can run any code when it is opened.", what,
                                    printable(layer.path)),
                        "Ask its publisher for safetensors or GGUF.");
    }
    check_folders(names, what);
    if (all.files.empty() && packed.empty()) bad(what, "it names none of its files.");
    if (ours && wanted.empty()) {
        if (all.files.empty()) bad(what, "its files are packed.");
        out.files = std::move(all.files);
        return;
    }
    const selection::Choice choice = selection::choose(candidates, wanted, what, what + "#FILE");
    for (const RemoteFile& file : all.files) {
        if (std::ranges::find(choice.paths, file.path) != choice.paths.end())
            out.files.push_back({file.path.substr(choice.base.size()), file.digest, file.size});
    }
    if (!packed.empty() && out.files.empty())
        throw Error(
            ErrorKind::unsupported,
            fmt::format("{} brings its files packed ({}), which this build does not unpack.", what, printable(packed)),
            "Unpack it with the tool that packed it (modctl, kit, oras) and pull the folder.");
    if (!packed.empty()) out.left_out.push_back(fmt::format("{} (packed)", printable(packed)));
    if (out.files.size() < all.files.size())
        out.left_out.push_back(fmt::format("{} files that are no part of a model as it is read here",
                                           all.files.size() - out.files.size()));
}

}  // namespace

Contents read_contents(std::string_view manifest, const std::string& what, const std::string& file) {
    const Value tree = parse_json(manifest, what);
    const ValueMap& map = json::object(tree, what, "the document");
    if (const auto version = json::size(map, "schemaVersion", what); version != 2)
        bad(what, fmt::format("\"schemaVersion\" is {}; this build reads version 2.", version));
    const std::string type = json::text(map, "mediaType", what, false);
    if (!type.empty() && type != layout::kManifestType && type != kDockerManifest)
        bad(what, fmt::format("\"mediaType\" is \"{}\", which is no manifest of a model.", printable(type)));
    Contents out;
    if (const ValueMap* config = json::maybe_object(map, "config", what)) {
        out.config_type = json::text(*config, "mediaType", what, false);
        out.config_digest = layout::checked_digest(json::text(*config, "digest", what), what);
        out.config_size = json::size(*config, "size", what);
    }
    const Value* list = json::list(map, "layers", what);
    if (list->size() == 0) bad(what, "it lists no files.");
    if (list->size() > layout::kMaxFiles)
        bad(what, fmt::format("it lists {} files; {} is the most.", list->size(), layout::kMaxFiles));
    std::vector<Layer> layers;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < list->size(); ++i) {
        layers.push_back(read_layer(list->at(i), what, i));
        const auto sum = checked_add(total, layers.back().size);
        if (!sum) bad(what, "the sizes of its files add up to more than 2^64.");
        total = *sum;
    }
    bool ours = false;
    if (const ValueMap* notes = json::maybe_object(map, "annotations", what)) {
        if (const std::string record = json::text(*notes, layout::kRecord, what, false); !record.empty()) {
            out.record = layout::parse_record(record, what);
            ours = true;
        }
        const std::string local = json::text(*notes, layout::kLocalManifest, what, false);
        if (layout::is_digest(local)) out.local_manifest = local;
        if (!ours) {
            out.record.licence.id = json::text(*notes, "org.opencontainers.image.licenses", what, false);
            out.record.description = json::text(*notes, "org.opencontainers.image.description", what, false);
        }
    }
    const bool ollama =
        std::ranges::any_of(layers, [](const Layer& layer) { return layer.media_type.starts_with(kOllama); });
    if (ollama)
        take_ollama(out, layers, what);
    else
        take_files(out, layers, what, file, ours);
    return out;
}

bool is_index(std::string_view media_type, std::string_view text) {
    if (media_type == layout::kIndexType || media_type == kDockerList) return true;
    return media_type != layout::kManifestType && media_type != kDockerManifest &&
           text.find("\"manifests\"") != std::string_view::npos && text.find("\"layers\"") == std::string_view::npos;
}

std::string choose_manifest(std::string_view index, const std::string& what) {
    const Value tree = parse_json(index, what);
    const ValueMap& map = json::object(tree, what, "the document");
    const Value* list = json::list(map, "manifests", what);
    std::vector<std::string> models, all;
    for (std::size_t i = 0; i < std::min<std::size_t>(list->size(), 1000); ++i) {
        const Value item = list->at(i);
        const ValueMap& entry = json::object(item, what, fmt::format("manifests[{}]", i));
        all.push_back(layout::checked_digest(json::text(entry, "digest", what), what));
        if (json::text(entry, "artifactType", what, false) == layout::kArtifactType) models.push_back(all.back());
    }
    const std::vector<std::string>& from = models.empty() ? all : models;
    if (from.size() == 1) return from.front();
    if (from.empty()) bad(what, "it is an empty list of manifests.");
    std::string names;
    for (const std::string& digest : from)
        if (names.size() < 2000) names += (names.empty() ? "" : ", ") + digest;
    throw Error(ErrorKind::usage, fmt::format("{} holds {} models: {}.", what, from.size(), names),
                "Name one by its digest: oci:HOST/NAME@sha256:...");
}

}  // namespace freehold::registry
