// Referrers after the distribution specification: a manifest with a subject; an index of them by tag where the registry
// does not keep one itself (no OCI-Subject in its answer). Answers are filtered here, whatever the registry says.
#include "referrers.h"

#include <fmt/format.h>

#include <algorithm>

#include "../json.h"
#include "../layout.h"
#include "freehold/base/error.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"

namespace freehold::registry {
namespace {

constexpr const char* kEmptyType = "application/vnd.oci.empty.v1+json";
constexpr std::uint64_t kMostDocument = 64ULL << 20;
constexpr std::size_t kMostReferrers = 1000;
constexpr int kMostPages = 100;

std::string digest_of(const std::string& text) {
    return "sha256:" + sha256_hex(std::as_bytes(std::span(text)));
}

std::string tag_of(const std::string& digest) {
    return "sha256-" + digest.substr(7);
}

ValueMap descriptor(const std::string& type, const std::string& digest, std::uint64_t size) {
    ValueMap out;
    out.set("mediaType", type);
    out.set("digest", digest);
    out.set("size", size);
    return out;
}

// The index that stands for the API: read, add, write, read again, since others may write it at the same time.
void add_by_tag(const Client& client, const std::string& subject, const ValueMap& entry, const std::string& digest) {
    const std::string tag = tag_of(subject);
    for (int i = 0; i < 4; ++i) {
        ValueList manifests;
        if (const auto before = client.find_manifest(tag)) {
            const Value tree = parse_json(before->text, tag);
            const ValueMap& map = json::object(tree, tag, "the document");
            const Value* list = json::list(map, "manifests", tag);
            for (std::size_t k = 0; k < list->size(); ++k) {
                const Value item = list->at(k);
                if (json::text(json::object(item, tag, "manifests"), "digest", tag) == digest) return;
                manifests.push_back(item);
            }
        }
        manifests.emplace_back(entry);
        ValueMap index;
        index.set("schemaVersion", 2);
        index.set("mediaType", layout::kIndexType);
        index.set("manifests", std::move(manifests));
        static_cast<void>(client.put_manifest(tag, to_json(Value(std::move(index))), layout::kIndexType));
    }
    const auto now = client.find_manifest(tag);
    if (!now || now->text.find(digest) == std::string::npos)
        throw Error(ErrorKind::conflict,
                    fmt::format("{} keeps losing what is attached to {}.", client.at().host, subject),
                    "Somebody else attaches at the same time; try again.");
}

void take_index(std::string_view text, const std::string& what, std::string_view type, std::vector<Referrer>& out) {
    const Value tree = parse_json(text, what);
    const Value* list = json::list(json::object(tree, what, "the document"), "manifests", what);
    for (std::size_t i = 0; i < list->size() && out.size() < kMostReferrers; ++i) {
        const Value item = list->at(i);
        const ValueMap& entry = json::object(item, what, fmt::format("manifests[{}]", i));
        Referrer one;
        one.digest = layout::checked_digest(json::text(entry, "digest", what), what);
        one.size = json::size(entry, "size", what);
        one.artifact_type = json::text(entry, "artifactType", what, false);
        if (type.empty() || one.artifact_type == type) out.push_back(std::move(one));
    }
}

// <...>; rel="next"
std::string next_page(const std::string& link) {
    const auto open = link.find('<'), shut = link.find('>');
    if (open == std::string::npos || shut == std::string::npos || shut < open) return {};
    if (link.find("rel=\"next\"", shut) == std::string::npos && link.find("rel=next", shut) == std::string::npos)
        return {};
    return link.substr(open + 1, shut - open - 1);
}

}  // namespace

std::string attach_one(const Client& client, const Subject& subject, const Attachment& document,
                       const UploadOptions& options) {
    if (document.text.size() > kMostDocument)
        throw Error(ErrorKind::limit, fmt::format("{} has {} bytes; {} is the most that is attached.", document.name,
                                                  document.text.size(), kMostDocument));
    Blob blob;
    blob.text = document.text;
    blob.size = document.text.size();
    blob.digest = digest_of(document.text);
    blob.name = document.name;
    static_cast<void>(upload(client, blob, options));
    Blob empty;
    empty.text = "{}";
    empty.size = 2;
    empty.digest = digest_of(empty.text);
    empty.name = "an empty config";
    static_cast<void>(upload(client, empty, options));
    ValueMap layer = descriptor(document.media_type, blob.digest, blob.size);
    layer.set("annotations", ValueMap{{layout::kTitle, Value(document.name)}});
    ValueMap manifest;
    manifest.set("schemaVersion", 2);
    manifest.set("mediaType", layout::kManifestType);
    manifest.set("artifactType", document.media_type);
    manifest.set("config", descriptor(kEmptyType, empty.digest, empty.size));
    manifest.set("layers", ValueList{Value(std::move(layer))});
    manifest.set("subject", descriptor(subject.media_type, subject.digest, subject.size));
    const std::string text = to_json(Value(std::move(manifest)));
    const std::string digest = digest_of(text);
    const http::Answer answer = client.put_manifest(digest, text, layout::kManifestType);
    if (answer.header("oci-subject").empty()) {
        ValueMap entry = descriptor(layout::kManifestType, digest, text.size());
        entry.set("artifactType", document.media_type);
        add_by_tag(client, subject.digest, entry, digest);
    }
    return digest;
}

std::vector<Referrer> referrers_of(const Client& client, const std::string& digest, std::string_view artifact_type) {
    std::vector<Referrer> out;
    std::string address = client.url("/referrers/" + digest);
    if (!artifact_type.empty()) {
        std::string type = http::escape_path(artifact_type);
        for (auto at = type.find('/'); at != std::string::npos; at = type.find('/', at)) type.replace(at, 1, "%2F");
        address += "?artifactType=" + type;
    }
    for (int page = 0; page < kMostPages && !address.empty(); ++page) {
        http::Outgoing outgoing;
        outgoing.lines = {fmt::format("Accept: {}", layout::kIndexType)};
        outgoing.attempts = 3;
        const http::Answer answer = http::send(client.request(address), outgoing);
        if (answer.status == 404 && page == 0) {
            if (const auto index = client.find_manifest(tag_of(digest)))
                take_index(index->text, tag_of(digest), artifact_type, out);
            return out;
        }
        if (answer.status != 200) throw client.fault(answer, "does not say what is attached");
        take_index(answer.body, "the list of what is attached", artifact_type, out);
        http::Answer next;
        next.headers["location"] = next_page(answer.header("link"));
        address = next.header("location").empty() ? std::string() : client.location(next, address);
    }
    return out;
}

namespace {

Attachment read_document(const Client& client, const ValueMap& layer, const std::string& what,
                         const std::string& otherwise) {
    Attachment out;
    out.media_type = json::text(layer, "mediaType", what);
    if (const ValueMap* notes = json::maybe_object(layer, "annotations", what))
        out.name = json::text(*notes, layout::kTitle, what, false);
    if (!layout::path_fault(out.name).empty() || out.name.find('/') != std::string::npos) out.name = otherwise;
    out.text = client.small_blob(layout::checked_digest(json::text(layer, "digest", what), what),
                                 json::size(layer, "size", what), kMostDocument);
    return out;
}

}  // namespace

std::vector<Attachment> documents_in(const Client& client, const RemoteManifest& manifest,
                                     std::string_view media_type) {
    std::vector<Attachment> out;
    const std::string what = "the manifest " + manifest.digest;
    const Value tree = parse_json(manifest.text, what);
    const ValueMap& map = json::object(tree, what, "the document");
    const Value* layers = json::list(map, "layers", what, false);
    if (layers == nullptr) return out;
    for (std::size_t i = 0; i < std::min(layers->size(), kMostReferrers); ++i) {
        const Value item = layers->at(i);
        const ValueMap& layer = json::object(item, what, fmt::format("layers[{}]", i));
        if (json::text(layer, "mediaType", what) == media_type)
            out.push_back(read_document(client, layer, what, fmt::format("document-{}", i)));
    }
    return out;
}

Attachment document_of(const Client& client, const Referrer& referrer) {
    const RemoteManifest manifest = client.manifest(referrer.digest);
    const std::string what = "the attachment " + referrer.digest;
    const Value tree = parse_json(manifest.text, what);
    const ValueMap& map = json::object(tree, what, "the document");
    const Value* layers = json::list(map, "layers", what);
    if (layers->size() != 1)
        throw Error(ErrorKind::unsupported, fmt::format("{} has {} parts; one is read.", what, layers->size()));
    const Value item = layers->at(0);
    const ValueMap& layer = json::object(item, what, "layers[0]");
    Attachment out = read_document(client, layer, what, referrer.digest.substr(7, 12));
    if (const std::string type = json::text(map, "artifactType", what, false); !type.empty()) out.media_type = type;
    return out;
}

}  // namespace freehold::registry
