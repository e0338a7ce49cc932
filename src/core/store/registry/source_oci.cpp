// Models in OCI registries as a source of pull: the manifest by tag or digest, then its layers as files, each resumed
// where it stopped and held against its digest.
#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "../disk.h"
#include "../http.h"
#include "../json.h"
#include "../layout.h"
#include "../sources.h"
#include "client.h"
#include "contents.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold::sources {
namespace fs = std::filesystem;
namespace {

struct Listing {
    registry::Client client;
    registry::RemoteManifest manifest;
    registry::Contents contents;
    std::uint64_t total = 0;
    std::string licence;
};

registry::Reference reference_of(const SourceSpec& source) {
    return registry::parse_reference(std::string_view(source.text).substr(0, source.text.find('#')));
}

registry::RemoteManifest one_manifest(const registry::Client& client, const std::string& what) {
    registry::RemoteManifest out = client.manifest(client.at().version());
    for (int depth = 0; registry::is_index(out.media_type, out.text); ++depth) {
        if (depth == 3)
            throw Error(ErrorKind::bad_file, fmt::format("{}: lists of manifests lead to more lists.", what));
        out = client.manifest(registry::choose_manifest(out.text, what));
    }
    return out;
}

// What ModelPack's config says beside the files.
void read_config(const registry::Client& client, registry::Contents& contents) {
    if (contents.config_type != layout::kConfigType || !contents.record.licence.id.empty()) return;
    const std::string what = client.at().str() + " (config)";
    const Value tree =
        parse_json(client.small_blob(contents.config_digest, contents.config_size, layout::kMaxManifest), what);
    const ValueMap& map = json::object(tree, what, "the document");
    if (const ValueMap* about = json::maybe_object(map, "descriptor", what)) {
        if (const Value* licences = json::list(*about, "licenses", what, false);
            licences != nullptr && licences->size() == 1)
            contents.record.licence.id = std::string(licences->at(0).as_string().value_or(""));
        if (contents.record.description.empty())
            contents.record.description = json::text(*about, "description", what, false);
    }
}

Listing list_files(const SourceSpec& source, const FetchOptions& options) {
    registry::ClientOptions settings;
    settings.plain_http = options.plain_http;
    settings.credentials = options.credentials;
    settings.notice = options.notice;
    settings.stall_seconds = options.stall_seconds;
    Listing out{registry::Client(reference_of(source), settings), {}, {}, 0, {}};
    out.manifest = one_manifest(out.client, source.text);
    out.contents = registry::read_contents(out.manifest.text, source.text, source.file);
    for (const registry::RemoteFile& file : out.contents.files)
        out.total = checked_add(out.total, file.size).value_or(~0ULL);
    if (out.total > options.max_bytes)
        throw Error(ErrorKind::limit,
                    fmt::format("{} is larger than the {} bytes that are taken.", source.text, options.max_bytes));
    read_config(out.client, out.contents);
    out.licence = out.contents.record.licence.id.size() <= 64 ? out.contents.record.licence.id : "";
    return out;
}

// Names by which this version has been known: the manifest in the registry, and that of the publisher's own store.
Value versions_of(const Listing& listing) {
    std::vector<std::string> out{listing.manifest.digest};
    std::set<std::string> seen{listing.manifest.digest};
    const auto add = [&](std::string_view digest) {
        if (layout::is_digest(digest) && out.size() < 100 && seen.insert(std::string(digest)).second)
            out.emplace_back(digest);
    };
    add(listing.contents.local_manifest);
    if (const Value* before = listing.contents.record.extra.find("versions")) {
        for (std::size_t i = 0; i < before->size() && i < 100; ++i) add(before->at(i).as_string().value_or(""));
    }
    return Value(std::move(out));
}

ValueMap read_settings(const Listing& listing, const std::string& what) {
    ValueMap out;
    for (const registry::RemoteSetting& setting : listing.contents.settings) {
        const std::string text = listing.client.small_blob(setting.digest, setting.size, setting.size);
        if (!setting.json) {
            out.set(setting.key, valid_utf8(text));
            continue;
        }
        Value value = parse_json(text, fmt::format("{} ({})", what, setting.key));
        const bool good =
            setting.key == "messages" ? value.get<ValueList>() != nullptr : value.get<ValueMap>() != nullptr;
        if (!good) throw Error(ErrorKind::bad_file, fmt::format("{}: its {} are of another form.", what, setting.key));
        out.set(setting.key, std::move(value));
    }
    return out;
}

// One layer under its digest, then under its name: names are the publisher's, and must not meet the notes of downloads.
FetchedFile bring(const Listing& listing, const registry::RemoteFile& remote, const FetchOptions& options,
                  std::uint64_t before) {
    FetchedFile out;
    out.path = remote.path;
    out.at = options.partial_dir / "files" / remote.path;
    out.owned = true;
    out.sha256 = remote.digest.substr(7);
    out.size = remote.size;
    if (take_present(options, out.sha256, out.at)) {
        if (disk::facts(out.at)->size == remote.size) return out;
        disk::remove_tree(out.at);
    }
    http::DownloadOptions download;
    download.attempts = options.attempts;
    download.max_bytes = std::max<std::uint64_t>(remote.size, 1);
    download.expected_size = remote.size;
    download.expected_sha256 = out.sha256;
    download.content_addressed = true;
    download.progress = [&](std::uint64_t done, std::uint64_t) {
        if (options.progress) options.progress({"pulling " + remote.path, before + done, listing.total, "B"});
    };
    const fs::path blob = options.partial_dir / "blobs" / out.sha256;
    static_cast<void>(
        http::download(listing.client.request(listing.client.url("/blobs/" + remote.digest)), blob, download));
    disk::make_folders(out.at.parent_path());
    std::error_code ec;
    fs::remove(out.at, ec);
    fs::create_hard_link(blob, out.at, ec);
    if (ec) fs::copy_file(blob, out.at, ec);
    if (ec) throw Error(ErrorKind::io, fmt::format("{} cannot be written: {}.", out.at.string(), ec.message()));
    return out;
}

}  // namespace

SourcePlan plan_oci(const SourceSpec& source, const FetchOptions& options) {
    const Listing listing = list_files(source, options);
    SourcePlan out;
    out.licence = listing.licence;
    out.revision = listing.manifest.digest;
    out.bytes = listing.total;
    for (const registry::RemoteFile& file : listing.contents.files) out.files.emplace_back(file.path, file.size);
    return out;
}

Fetched fetch_oci(const SourceSpec& source, const FetchOptions& options) {
    const Listing listing = list_files(source, options);
    const registry::Contents& contents = listing.contents;
    if (options.notice) {
        for (const std::string& left : contents.left_out)
            options.notice(fmt::format("{}: left out is {}.", source.text, left));
    }
    Fetched out;
    out.revision = listing.manifest.digest;
    out.licence = listing.licence;
    out.description = contents.record.description;
    out.parents = contents.record.parents;
    out.extra = contents.record.extra;
    // What somebody else's scanner said is not ours to repeat, and what kind of model it is shows when it is opened.
    out.extra.erase("scan");
    out.extra.erase("kind");
    out.extra.set("versions", versions_of(listing));
    if (ValueMap settings = read_settings(listing, source.text); !settings.empty())
        out.extra.set("created", std::move(settings));
    std::uint64_t before = 0;
    for (const registry::RemoteFile& remote : contents.files) {
        if (const ExpectedFile* expected = expectation(options, remote.path);
            expected != nullptr && !expected->sha256.empty() && "sha256:" + expected->sha256 != remote.digest)
            throw Error(ErrorKind::bad_file,
                        fmt::format("{} of {} is now another file ({}) than the expected sha256:{}.", remote.path,
                                    source.text, remote.digest, expected->sha256),
                        "The publisher replaced it; use another source, or a newer catalogue.");
        out.files.push_back(bring(listing, remote, options, before));
        if (remote.path.ends_with(".bin")) refuse_pickle(out.files.back().at);
        before += remote.size;
    }
    return out;
}

}  // namespace freehold::sources
