// Hugging Face repositories: the list of files with sizes and digests by the API, the files by their resolve addresses
// of one fixed commit. HF_ENDPOINT may name a mirror, HF_TOKEN opens gated models and is sent to that endpoint only.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "disk.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "http.h"
#include "json.h"
#include "layout.h"
#include "selection.h"
#include "sources.h"

namespace freehold::sources {
namespace fs = std::filesystem;
namespace {

struct RemoteFile {
    std::uint64_t size = 0;
    std::string sha256;  // large files only
};

struct Listing {
    std::string commit, licence;
    std::map<std::string, RemoteFile> files;
    selection::Choice choice;
};

std::string variable(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr || *value == '\0' ? otherwise : value;
}

std::string endpoint() {
    std::string out = variable("HF_ENDPOINT", "https://huggingface.co");
    while (out.ends_with('/')) out.pop_back();
    static_cast<void>(http::check_url(out));
    return out;
}

std::string token() {
    const std::string out = variable("HF_TOKEN", "");
    if (std::any_of(out.begin(), out.end(), [](char c) {
            return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f;
        }))
        throw Error(ErrorKind::usage, "HF_TOKEN holds a space, a line end or another character that no token has.",
                    "Copy the token again; it begins with hf_.");
    return out;
}

std::string licence_of(const ValueMap& map, const std::string& what) {
    if (const ValueMap* card = json::maybe_object(map, "cardData", what)) {
        if (const Value* licence = card->find("license")) {
            const std::string id(
                licence->as_string().value_or(licence->size() > 0 ? licence->at(0).as_string().value_or("") : ""));
            if (id == "other") {
                if (const Value* name = card->find("license_name"); name != nullptr && name->as_string())
                    return std::string(*name->as_string());
            }
            if (!id.empty()) return id;
        }
    }
    if (const Value* tags = json::list(map, "tags", what, false)) {
        for (std::size_t i = 0; i < tags->size(); ++i) {
            const Value tag = tags->at(i);
            const std::string_view text = tag.as_string().value_or("");
            if (text.starts_with("license:")) return std::string(text.substr(8));
        }
    }
    return {};
}

RemoteFile remote_file(const ValueMap& entry, const std::string& what) {
    RemoteFile out;
    out.size = json::size(entry, "size", what, false);
    if (const ValueMap* lfs = json::maybe_object(entry, "lfs", what)) {
        out.sha256 = json::text(*lfs, "sha256", what, false);
        if (!out.sha256.empty() && !layout::is_hex64(out.sha256))
            throw Error(ErrorKind::bad_file,
                        fmt::format("{}: \"{}\" is not a SHA-256.", what, out.sha256.substr(0, 100)));
        const std::uint64_t size = json::size(*lfs, "size", what, false);
        if (size != 0) out.size = size;
    }
    return out;
}

Listing list_files(const SourceSpec& source, const FetchOptions& options) {
    const std::string what = "hf:" + source.location;
    std::string revision = http::escape_path(source.revision);
    for (auto at = revision.find('/'); at != std::string::npos; at = revision.find('/', at))
        revision.replace(at, 1, "%2F");
    const std::string url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", endpoint(),
                                        http::escape_path(source.location), revision);
    const http::Answer answer = http::get({url, token(), options.stall_seconds}, 64 << 20);
    // For names that do not exist the Hub answers 401, so as not to tell which private ones do.
    if (answer.status == 404 || (answer.status == 401 && token().empty()))
        throw Error(ErrorKind::not_found,
                    fmt::format("{} (revision {}) does not exist, or is private.", what, source.revision),
                    "Check the spelling; for a private or gated model set HF_TOKEN to a token of yours.");
    if (answer.status == 401 || answer.status == 403)
        throw Error(ErrorKind::network, fmt::format("{} may not be read with this HF_TOKEN ({}).", what, answer.status),
                    "Accept the model's terms on its page, and check that the token is valid.");
    if (answer.status != 200)
        throw Error(ErrorKind::network,
                    fmt::format("The list of files of {} cannot be had: status {}.", what, answer.status),
                    "Try again later, or use another source.");
    const Value tree = parse_json(answer.body, what);
    const ValueMap& map = json::object(tree, what, "the answer");
    Listing out;
    out.commit = json::text(map, "sha", what);
    if (!layout::path_fault(out.commit).empty() || out.commit.find('/') != std::string::npos)
        throw Error(ErrorKind::bad_file, fmt::format("{}: the commit \"{}\" is refused.", what, printable(out.commit)));
    out.licence = licence_of(map, what);
    const Value* siblings = json::list(map, "siblings", what);
    std::vector<selection::Candidate> candidates;
    for (std::size_t i = 0; i < siblings->size(); ++i) {
        const Value item = siblings->at(i);
        const ValueMap& entry = json::object(item, what, fmt::format("siblings[{}]", i));
        const std::string path = json::text(entry, "rfilename", what);
        const std::string fault = layout::path_fault(path);
        if (!fault.empty())
            throw Error(ErrorKind::bad_file,
                        fmt::format("{}: the file name \"{}\" is refused: {}.", what, printable(path), fault));
        const RemoteFile file = remote_file(entry, what);
        candidates.push_back({path, file.size});
        out.files.insert_or_assign(path, file);
    }
    out.choice = selection::choose(candidates, source.file, what, what + ":FILE");
    return out;
}

}  // namespace

SourcePlan plan_hf(const SourceSpec& source, const FetchOptions& options) {
    const Listing listing = list_files(source, options);
    SourcePlan out;
    out.licence = listing.licence;
    out.revision = listing.commit;
    for (const std::string& path : listing.choice.paths) {
        const std::uint64_t size = listing.files.at(path).size;
        out.files.emplace_back(path.substr(listing.choice.base.size()), size);
        out.bytes = checked_add(out.bytes, size).value_or(0);
    }
    return out;
}

Fetched fetch_hf(const SourceSpec& source, const FetchOptions& options) {
    const Listing listing = list_files(source, options);
    const std::string base = fmt::format("{}/{}/resolve/{}/", endpoint(), http::escape_path(source.location),
                                         http::escape_path(listing.commit));
    std::uint64_t total = 0, before = 0;
    for (const std::string& path : listing.choice.paths) {
        const auto sum = checked_add(total, listing.files.at(path).size);
        if (!sum || *sum > options.max_bytes)
            throw Error(ErrorKind::limit,
                        fmt::format("{} is larger than the {} bytes that are taken.", source.text, options.max_bytes));
        total = *sum;
    }
    Fetched out;
    out.revision = listing.commit;
    out.licence = listing.licence;
    for (const std::string& path : listing.choice.paths) {
        const RemoteFile& remote = listing.files.at(path);
        FetchedFile file;
        file.path = path.substr(listing.choice.base.size());
        file.at = options.partial_dir / "files" / file.path;
        file.owned = true;
        http::DownloadOptions download;
        download.attempts = options.attempts;
        download.max_bytes = options.max_bytes;
        download.expected_size = remote.size;
        download.expected_sha256 = remote.sha256;
        if (const ExpectedFile* expected = expectation(options, file.path);
            expected != nullptr && !expected->sha256.empty()) {
            if (!remote.sha256.empty() && remote.sha256 != expected->sha256)
                throw Error(ErrorKind::bad_file,
                            fmt::format("{} of {} is now another file (sha256:{}) than the expected sha256:{}.", path,
                                        source.text, remote.sha256, expected->sha256),
                            "The publisher replaced it; use another source, or a newer catalogue.");
            download.expected_sha256 = expected->sha256;
        }
        if (take_present(options, download.expected_sha256, file.at)) {
            file.sha256 = download.expected_sha256;
            file.size = disk::facts(file.at)->size;
        } else {
            download.progress = [&](std::uint64_t done, std::uint64_t) {
                if (options.progress) options.progress({"pulling " + file.path, before + done, total, "B"});
            };
            const http::Download got =
                http::download({base + http::escape_path(path), token(), options.stall_seconds}, file.at, download);
            file.sha256 = got.sha256;
            file.size = got.size;
        }
        if (path.ends_with(".bin")) refuse_pickle(file.at);
        before += file.size;
        out.files.push_back(std::move(file));
    }
    return out;
}

}  // namespace freehold::sources
