// Reads and writes index.json, manifests and config blobs (OCI image-spec; ModelPack's config for other tools).
// Everything that is read is checked against what the store itself relies on: digests, sizes, names, paths.
#include "layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "json.h"

namespace freehold::layout {
namespace {

constexpr const char* kRefName = "org.opencontainers.image.ref.name";
constexpr const char* kLinkedPath = "vnd.freehold.linked.path";
constexpr const char* kLinkedTime = "vnd.freehold.linked.mtime-ns";
constexpr const char* kHint =
    "Run 'freehold rm' and 'freehold pull' for this model, or restore the folder from a backup.";

[[noreturn]] void bad(std::string_view what, std::string message) {
    throw Error(ErrorKind::bad_file, fmt::format("{}: {}", what, message), kHint);
}

std::string sane_text(std::string text, std::string_view what, std::string_view key, std::size_t at_most) {
    if (text.size() > at_most)
        bad(what, fmt::format("\"{}\" is {} bytes long; {} is the most.", key, text.size(), at_most));
    return text;
}

Value digests_list(const std::vector<std::string>& digests) {
    return Value(std::vector<std::string>(digests));
}

ValueMap write_record(const ModelRecord& r) {
    ValueMap licence;
    licence.set("id", r.licence.id);
    licence.set("category", licence_category_name(r.licence.category));
    if (!r.licence.url.empty()) licence.set("url", r.licence.url);
    ValueMap out;
    out.set("architecture", r.architecture);
    out.set("container", r.container);
    out.set("parameters", r.parameters);
    out.set("quantisation", r.quantisation);
    out.set("context", r.context);
    out.set("description", r.description);
    out.set("licence", std::move(licence));
    out.set("source", r.source);
    out.set("source_revision", r.source_revision);
    out.set("created", r.created);
    out.set("parents", digests_list(r.parents));
    out.set("extra", r.extra);
    return out;
}

LicenceCategory category_from(std::string_view name) noexcept {
    for (const auto c : {LicenceCategory::permissive, LicenceCategory::copyleft, LicenceCategory::non_commercial,
                         LicenceCategory::custom}) {
        if (name == licence_category_name(c)) return c;
    }
    return LicenceCategory::unknown;
}

ModelRecord read_record(std::string_view text, std::string_view what) {
    const std::string name = fmt::format("{} ({})", what, kRecord);
    const Value tree = parse_json(text, name);
    const ValueMap& map = json::object(tree, name, kRecord);
    const auto get = [&](std::string_view key) {
        return sane_text(json::text(map, key, name, false), name, key, 1 << 20);
    };
    ModelRecord r;
    r.architecture = get("architecture");
    r.container = get("container");
    r.parameters = json::size(map, "parameters", name, false);
    r.quantisation = get("quantisation");
    r.context = json::size(map, "context", name, false);
    r.description = get("description");
    if (const ValueMap* licence = json::maybe_object(map, "licence", name)) {
        r.licence.id = json::text(*licence, "id", name, false);
        r.licence.category = category_from(json::text(*licence, "category", name, false));
        r.licence.url = json::text(*licence, "url", name, false);
    }
    r.source = get("source");
    r.source_revision = get("source_revision");
    r.created = get("created");
    if (const Value* parents = json::list(map, "parents", name, false)) {
        for (std::size_t i = 0; i < parents->size(); ++i) {
            const Value parent = parents->at(i);
            r.parents.push_back(checked_digest(parent.as_string().value_or(""), name));
        }
    }
    if (const ValueMap* extra = json::maybe_object(map, "extra", name)) r.extra = *extra;
    return r;
}

ValueMap descriptor(std::string_view type, std::string_view digest, std::uint64_t size) {
    ValueMap out;
    out.set("mediaType", std::string(type));
    out.set("digest", std::string(digest));
    out.set("size", size);
    return out;
}

void check_schema(const ValueMap& map, std::string_view what, std::string_view type) {
    const auto version = json::size(map, "schemaVersion", what);
    if (version != 2) bad(what, fmt::format("\"schemaVersion\" is {}; this build reads version 2.", version));
    const std::string media = json::text(map, "mediaType", what, false);
    if (!media.empty() && media != type)
        bad(what, fmt::format("\"mediaType\" is \"{}\", expected \"{}\".", printable(media), type));
}

StoredFile read_layer(const ValueMap& layer, std::string_view what) {
    StoredFile file;
    file.media_type = json::text(layer, "mediaType", what);
    file.digest = checked_digest(json::text(layer, "digest", what), what);
    file.size = json::size(layer, "size", what);
    const ValueMap* notes = json::maybe_object(layer, "annotations", what);
    if (notes == nullptr)
        bad(what, fmt::format("the layer {} has no annotations, so its file has no name.", file.digest));
    file.path = json::text(*notes, kTitle, what);
    const std::string fault = path_fault(file.path);
    if (!fault.empty()) bad(what, fmt::format("the file name \"{}\" is refused: {}.", printable(file.path), fault));
    const std::string linked = json::text(*notes, kLinkedPath, what, false);
    if (!linked.empty()) {
        if (linked.front() != '/' || linked.find('\0') != std::string::npos)
            bad(what, fmt::format("the link of \"{}\" is not an absolute path.", printable(file.path)));
        file.linked_at = linked;
        const std::string time = json::text(*notes, kLinkedTime, what);
        try {
            std::size_t used = 0;
            file.linked_mtime_ns = std::stoll(time, &used);
            if (used != time.size()) throw std::invalid_argument(time);
        } catch (const std::exception&) {
            bad(what, fmt::format("\"{}\" of \"{}\" is not a whole number.", kLinkedTime, file.path));
        }
    }
    return file;
}

bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const std::size_t n = utf8_length(text);
        if (n == 0) return false;
        text.remove_prefix(n);
    }
    return true;
}

std::string parameter_size(std::uint64_t n) {
    if (n >= 1'000'000'000) return fmt::format("{:.1f}B", static_cast<double>(n) / 1e9);
    if (n >= 1'000'000) return fmt::format("{:.0f}M", static_cast<double>(n) / 1e6);
    return fmt::format("{:.0f}K", static_cast<double>(n) / 1e3);
}

}  // namespace

ModelRecord parse_record(std::string_view text, std::string_view what) {
    return read_record(text, what);
}

bool is_hex64(std::string_view hex) noexcept {
    return hex.size() == 64 &&
           std::all_of(hex.begin(), hex.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_digest(std::string_view digest) noexcept {
    return digest.starts_with("sha256:") && is_hex64(digest.substr(7));
}

std::string checked_digest(std::string_view digest, std::string_view what) {
    if (!is_digest(digest))
        bad(what, fmt::format("\"{}\" is not a digest (sha256: and 64 lower-case hex digits).", printable(digest)));
    return std::string(digest);
}

std::string path_fault(std::string_view path) {
    if (path.empty()) return "it is empty";
    if (path.size() > 1024) return "it is longer than 1024 bytes";
    if (!is_utf8(path)) return "it is not UTF-8";
    if (path.front() == '/') return "it is an absolute path";
    for (const char c : path) {
        const auto u = static_cast<unsigned char>(c);
        if (u < 0x20 || u == 0x7f) return fmt::format("it holds the control byte 0x{:02x}", u);
        if (c == '\\') return "it holds a backslash";
    }
    std::size_t start = 0;
    while (start <= path.size()) {
        const std::size_t end = std::min(path.find('/', start), path.size());
        const std::string_view part = path.substr(start, end - start);
        if (part.empty()) return "it has an empty part between two slashes";
        if (part == "." || part == "..") return fmt::format("its part \"{}\" climbs about in folders", part);
        // Of any part: folders in front are cut off when a model lies in one.
        if (part.size() >= 2 && part[1] == ':') return "one of its parts begins with a drive letter";
        if (part.size() > 255) return "one of its parts is longer than 255 bytes";
        start = end + 1;
    }
    return {};
}

std::string media_type_for(std::string_view path) {
    const auto ends = [&](std::string_view suffix) { return path.ends_with(suffix); };
    const std::string_view leaf = path.substr(path.rfind('/') + 1);
    const char* kind = "weight.config";
    if (ends(".gguf") || ends(".safetensors") || ends(".bin")) {
        kind = "weight";
    } else if (ends(".md") || ends(".html") || ends(".pdf") || leaf.starts_with("LICENSE") ||
               leaf.starts_with("NOTICE")) {
        kind = "doc";
    }
    return fmt::format("application/vnd.cncf.model.{}.v1.raw", kind);
}

Index parse_index(std::string_view text, std::string_view what) {
    const Value tree = parse_json(text, what);
    const ValueMap& map = json::object(tree, what, "the document");
    check_schema(map, what, kIndexType);
    const Value* manifests = json::list(map, "manifests", what);
    Index index;
    std::set<std::string> seen;
    for (std::size_t i = 0; i < manifests->size(); ++i) {
        const Value item = manifests->at(i);
        const ValueMap& entry = json::object(item, what, fmt::format("manifests[{}]", i));
        const std::string digest = checked_digest(json::text(entry, "digest", what), what);
        const std::uint64_t size = json::size(entry, "size", what);
        const ValueMap* notes = json::maybe_object(entry, "annotations", what);
        const auto name =
            notes == nullptr ? std::nullopt : ModelName::try_parse(json::text(*notes, kRefName, what, false));
        if (json::text(entry, "mediaType", what, false) != kManifestType || !name) {
            index.foreign.push_back(item);
            continue;
        }
        if (!seen.insert(name->str()).second) bad(what, fmt::format("the name {} stands there twice.", name->str()));
        index.entries.push_back({*name, digest, size});
    }
    return index;
}

std::string write_index(const Index& index) {
    std::vector<IndexEntry> sorted = index.entries;
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    ValueList manifests = index.foreign;
    for (const IndexEntry& entry : sorted) {
        ValueMap notes;
        notes.set(kRefName, entry.name.str());
        ValueMap item = descriptor(kManifestType, entry.digest, entry.size);
        item.set("artifactType", kArtifactType);
        item.set("annotations", std::move(notes));
        manifests.emplace_back(std::move(item));
    }
    ValueMap out;
    out.set("schemaVersion", 2);
    out.set("mediaType", kIndexType);
    out.set("manifests", std::move(manifests));
    return to_json(Value(std::move(out)), 2) + "\n";
}

Manifest parse_manifest(std::string_view text, std::string_view what) {
    const Value tree = parse_json(text, what);
    const ValueMap& map = json::object(tree, what, "the document");
    check_schema(map, what, kManifestType);
    Manifest out;
    const ValueMap* config = json::maybe_object(map, "config", what);
    if (config == nullptr) bad(what, "key \"config\" is missing.");
    out.config_digest = checked_digest(json::text(*config, "digest", what), what);
    out.config_size = json::size(*config, "size", what);
    const Value* layers = json::list(map, "layers", what);
    if (layers->size() == 0) bad(what, "it lists no files.");
    if (layers->size() > kMaxFiles)
        bad(what, fmt::format("it lists {} files; {} is the most.", layers->size(), kMaxFiles));
    std::set<std::string> seen;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < layers->size(); ++i) {
        const Value item = layers->at(i);
        StoredFile file = read_layer(json::object(item, what, fmt::format("layers[{}]", i)), what);
        if (!seen.insert(file.path).second)
            bad(what, fmt::format("the file \"{}\" stands there twice.", printable(file.path)));
        const auto sum = checked_add(total, file.size);
        if (!sum) bad(what, "the sizes of its files add up to more than 2^64.");
        total = *sum;
        out.files.push_back(std::move(file));
    }
    // "a" and "a/b" cannot both be files of one folder.
    for (const std::string& path : seen) {
        for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
            if (seen.contains(path.substr(0, slash)))
                bad(what, fmt::format("\"{}\" is named as a file and as a folder.", path.substr(0, slash)));
        }
    }
    if (const ValueMap* notes = json::maybe_object(map, "annotations", what)) {
        const std::string record = json::text(*notes, kRecord, what, false);
        if (!record.empty()) out.record = read_record(record, what);
    }
    return out;
}

std::string write_manifest(const Manifest& manifest) {
    ValueList layers;
    for (const StoredFile& file : manifest.files) {
        ValueMap notes;
        notes.set(kTitle, file.path);
        notes.set(kFilePath, file.path);
        if (file.linked_at) {
            notes.set(kLinkedPath, file.linked_at->string());
            notes.set(kLinkedTime, std::to_string(file.linked_mtime_ns));
        }
        ValueMap layer = descriptor(file.media_type, file.digest, file.size);
        layer.set("annotations", std::move(notes));
        layers.emplace_back(std::move(layer));
    }
    ValueMap notes;
    for (const auto& [key, text] : manifest.notes) notes.set(key, text);
    notes.set(kRecord, to_json(Value(write_record(manifest.record))));
    ValueMap out;
    out.set("schemaVersion", 2);
    out.set("mediaType", kManifestType);
    out.set("artifactType", kArtifactType);
    out.set("config", descriptor(kConfigType, manifest.config_digest, manifest.config_size));
    out.set("layers", std::move(layers));
    out.set("annotations", std::move(notes));
    std::string text = to_json(Value(std::move(out)));
    if (text.size() > kMaxManifest)
        throw Error(ErrorKind::limit,
                    fmt::format("The manifest would be {} bytes; registries take {}.", text.size(), kMaxManifest),
                    "Keep less in the record's extra fields, or fewer files.");
    return text;
}

std::string write_config(const std::string& name, const ModelRecord& record, const std::vector<StoredFile>& files) {
    ValueMap about;
    about.set("name", name);
    if (!record.created.empty()) about.set("createdAt", record.created);
    if (record.source.starts_with("https://")) about.set("sourceURL", record.source);
    if (!record.source_revision.empty()) about.set("revision", record.source_revision);
    if (!record.licence.id.empty()) about.set("licenses", Value(std::vector<std::string>{record.licence.id}));
    ValueMap shape;
    if (!record.architecture.empty()) shape.set("architecture", record.architecture);
    if (!record.container.empty()) shape.set("format", record.container == "hf" ? "safetensors" : record.container);
    if (record.parameters != 0) shape.set("paramSize", parameter_size(record.parameters));
    if (!record.quantisation.empty()) shape.set("quantization", record.quantisation);
    std::vector<std::string> digests;
    digests.reserve(files.size());
    for (const StoredFile& file : files) digests.push_back(file.digest);
    ValueMap fs;
    fs.set("type", "layers");
    fs.set("diffIds", Value(std::move(digests)));
    ValueMap out;
    out.set("descriptor", std::move(about));
    out.set("config", std::move(shape));
    out.set("modelfs", std::move(fs));
    return to_json(Value(std::move(out)));
}

void check_layout_file(std::string_view text, std::string_view what) {
    const Value tree = parse_json(text, what);
    const std::string version = json::text(json::object(tree, what, "the document"), "imageLayoutVersion", what);
    if (!version.starts_with("1."))
        throw Error(ErrorKind::unsupported,
                    fmt::format("{}: image layout version \"{}\" is not known here.", what, printable(version)),
                    "A newer Freehold may read it; or set FREEHOLD_HOME to an empty folder.");
}

}  // namespace freehold::layout
