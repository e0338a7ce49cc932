// Local files and folders, and single files by https. Neither copies: the store decides what becomes of a local file.
// A wheel on disk is opened like one from a package index.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>

#include "disk.h"
#include "freehold/base/error.h"
#include "http.h"
#include "layout.h"
#include "selection.h"
#include "sources.h"
#include "wheel.h"

namespace freehold::sources {
namespace fs = std::filesystem;
namespace {

std::array<unsigned char, 4> first_bytes(const fs::path& path) {
    std::array<unsigned char, 4> out{};
    std::ifstream in(path, std::ios::binary);
    in.read(reinterpret_cast<char*>(out.data()), out.size());
    return out;
}

bool is_gguf(const fs::path& path) {
    return first_bytes(path) == std::array<unsigned char, 4>{'G', 'G', 'U', 'F'};
}

fs::path expand_home(const std::string& text) {
    if (text == "~" || text.starts_with("~/")) {
        if (const char* home = std::getenv("HOME"); home != nullptr)
            return fs::path(home) / fs::path(text.substr(std::min<std::size_t>(2, text.size())));
    }
    return text;
}

FetchedFile local(const fs::path& at, const std::string& path) {
    const auto known = disk::facts(at);
    if (!known)
        throw Error(ErrorKind::not_found, fmt::format("{} does not exist.", at.string()),
                    "Check the spelling of the path.");
    if (!known->regular) throw Error(ErrorKind::bad_file, fmt::format("{} is not a regular file.", at.string()));
    FetchedFile out;
    out.path = path;
    out.at = at;
    out.size = known->size;
    return out;
}

Fetched from_folder(const fs::path& folder, const std::string& wanted, const std::string& what) {
    std::vector<selection::Candidate> candidates;
    std::error_code ec;
    for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
        if (it.depth() > 1) it.disable_recursion_pending();
        if (!it->is_regular_file(ec)) continue;
        candidates.push_back({fs::relative(it->path(), folder, ec).generic_string(), it->file_size(ec)});
        if (candidates.size() > 100000)
            throw Error(ErrorKind::limit,
                        fmt::format("{} holds more than 100000 files; name the model's own folder.", what));
    }
    if (ec) throw Error(ErrorKind::io, fmt::format("Could not read the folder {}: {}.", folder.string(), ec.message()));
    std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    const selection::Choice choice = selection::choose(candidates, wanted, what, folder.string() + "/FILE");
    Fetched out;
    for (const std::string& path : choice.paths)
        out.files.push_back(local(folder / path, path.substr(choice.base.size())));
    return out;
}

Fetched from_one_file(const fs::path& path, const SourceSpec& source) {
    const std::string leaf = path.filename().string();
    const fs::path folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
    if (selection::is_pickle_name(leaf) || leaf.ends_with(".safetensors"))
        return from_folder(folder, leaf, source.text);
    Fetched out;
    const auto parts = selection::gguf_parts(leaf);
    if (parts.size() > 1) {
        for (const std::string& part : parts) out.files.push_back(local(folder / part, part));
        return out;
    }
    refuse_pickle(path);
    const bool gguf = is_gguf(path);
    out.files.push_back(local(path, gguf && !leaf.ends_with(".gguf") ? leaf + ".gguf" : leaf));
    if (!gguf && leaf.ends_with(".bin")) {  // llama2.c keeps its vocabulary beside the checkpoint
        std::error_code ec;
        for (const auto& entry : fs::directory_iterator(folder, ec)) {
            const std::string name = entry.path().filename().string();
            if (name.starts_with("tok") && name.ends_with(".bin") && name != leaf && entry.is_regular_file(ec))
                out.files.push_back(local(entry.path(), name));
        }
    }
    return out;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// The last part of the path of a URL, %-decoded, as a file name.
std::string url_leaf(const std::string& url) {
    const http::Url parts = http::check_url(url);
    const std::string path = parts.rest.substr(0, parts.rest.find('?'));
    const std::string raw = path.substr(path.rfind('/') + 1);
    std::string out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        const int high = i + 2 < raw.size() && raw[i] == '%' ? hex_digit(raw[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(raw[i + 2]) : -1;
        out += low >= 0 ? static_cast<char>(high * 16 + low) : raw[i];
        if (low >= 0) i += 2;
    }
    if (!layout::path_fault(out).empty() || out.find('/') != std::string::npos)
        throw Error(ErrorKind::usage, fmt::format("The address {} does not end in a file name.", http::shown(url)),
                    "Name the model file itself, e.g. https://host/model.gguf.");
    return out;
}

}  // namespace

void refuse_pickle(const fs::path& path) {
    const auto magic = first_bytes(path);
    const bool pickle = magic[0] == 0x80 && magic[1] >= 2 && magic[1] <= 5;
    const bool torch = magic[0] == 'P' && magic[1] == 'K' && magic[2] == 3 && magic[3] == 4;
    if (!pickle && !torch) return;
    throw Error(ErrorKind::unsupported,
                fmt::format("{} is a Python pickle{}, which can run any code when it is opened.",
                            path.filename().string(), torch ? " in a ZIP archive" : ""),
                "Ask its publisher for safetensors or GGUF.");
}

SourcePlan plan_file(const SourceSpec& source) {
    SourcePlan out;
    const fs::path path = expand_home(source.location);
    const auto known = disk::facts(path);
    if (!known)
        throw Error(ErrorKind::not_found, fmt::format("{} does not exist.", path.string()),
                    "Check the spelling of the path.");
    if (path.extension() == ".whl") return out;
    for (const FetchedFile& file :
         (known->regular ? from_one_file(path, source) : from_folder(path, source.file, source.text)).files) {
        out.files.emplace_back(file.path, file.size);
        out.bytes += file.size;
    }
    return out;
}

Fetched fetch_file(const SourceSpec& source, const FetchOptions& options) {
    const fs::path path = expand_home(source.location);
    const auto known = disk::facts(path);
    if (!known)
        throw Error(ErrorKind::not_found, fmt::format("{} does not exist.", path.string()),
                    "Check the spelling of the path.");
    if (known->regular && path.extension() == ".whl") return fetch_wheel(path, source, options);
    return known->regular ? from_one_file(path, source) : from_folder(path, source.file, source.text);
}

SourcePlan plan_https(const SourceSpec& source, const FetchOptions& options) {
    const http::Head head = http::head({source.location, {}, options.stall_seconds});
    SourcePlan out;
    out.bytes = head.size;
    out.files.emplace_back(url_leaf(source.location), head.size);
    out.revision = head.etag;
    return out;
}

Fetched fetch_https(const SourceSpec& source, const FetchOptions& options) {
    const std::string leaf = url_leaf(source.location);
    if (selection::is_pickle_name(leaf))
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} is a Python pickle, which can run any code when it is opened.", leaf),
                    "Ask its publisher for safetensors or GGUF.");
    const bool is_wheel = leaf.ends_with(".whl");
    const ExpectedFile* expected = is_wheel ? nullptr : expectation(options, leaf);
    http::DownloadOptions download;
    download.attempts = options.attempts;
    download.max_bytes = options.max_bytes;
    download.expected_sha256 = source.sha256;
    if (expected != nullptr) {
        download.expected_size = expected->size;
        if (download.expected_sha256.empty()) download.expected_sha256 = expected->sha256;
    }
    const fs::path to = options.partial_dir / "files" / leaf;
    Fetched out;
    FetchedFile file;
    file.path = leaf;
    file.at = to;
    file.owned = true;
    if (take_present(options, download.expected_sha256, to)) {
        file.sha256 = download.expected_sha256;
        file.size = disk::facts(to)->size;
    } else {
        download.progress = [&](std::uint64_t done, std::uint64_t total) {
            if (options.progress) options.progress({"pulling " + leaf, done, total, "B"});
        };
        const http::Download got = http::download({source.location, {}, options.stall_seconds}, to, download);
        file.sha256 = got.sha256;
        file.size = got.size;
        out.revision = got.etag;
    }
    if (is_wheel) return fetch_wheel(to, source, options);
    if (leaf.ends_with(".bin")) refuse_pickle(to);
    if (!leaf.ends_with(".gguf") && is_gguf(to)) file.path += ".gguf";
    out.files.push_back(std::move(file));
    return out;
}

}  // namespace freehold::sources
