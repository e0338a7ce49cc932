// Source addresses taken apart, and the one door through which everything is fetched.
// Expectations (size, digest) are checked here for every kind of source alike.
#include "freehold/store/source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "disk.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "http.h"
#include "layout.h"
#include "registry/reference.h"
#include "sources.h"

namespace freehold {
namespace {

constexpr const char* kForms =
    "Sources are a path, https://host/file, hf:org/repo[:file][@revision], pypi:package[==version][:file], or "
    "oci:host/name[:tag].";

[[noreturn]] void wrong(std::string_view text, const std::string& why) {
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is not a source: {}.", printable(text), printable(why)), kForms);
}

bool is_word(std::string_view text) {
    return !text.empty() && std::isalnum(static_cast<unsigned char>(text.front())) != 0 &&
           std::isalnum(static_cast<unsigned char>(text.back())) != 0 &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
           });
}

void parse_hf(std::string_view text, std::string_view rest, SourceSpec& out) {
    if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
        out.revision = std::string(rest.substr(at + 1));
        rest = rest.substr(0, at);
        if (!layout::path_fault(out.revision).empty()) wrong(text, fmt::format("\"{}\" is no revision", out.revision));
    } else {
        out.revision = "main";
    }
    if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
        out.file = std::string(rest.substr(colon + 1));
        rest = rest.substr(0, colon);
        const std::string fault = layout::path_fault(out.file);
        if (!fault.empty()) wrong(text, fmt::format("its file name is refused: {}", fault));
    }
    const auto slash = rest.find('/');
    const bool good = slash == std::string_view::npos
                          ? is_word(rest)
                          : is_word(rest.substr(0, slash)) && is_word(rest.substr(slash + 1));
    if (!good) wrong(text, fmt::format("\"{}\" is not of the form org/repo", rest));
    out.location = std::string(rest);
}

void parse_pypi(std::string_view text, std::string_view rest, SourceSpec& out) {
    if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
        out.file = std::string(rest.substr(colon + 1));
        rest = rest.substr(0, colon);
        const std::string fault = layout::path_fault(out.file);
        if (!fault.empty()) wrong(text, fmt::format("its file name is refused: {}", fault));
    }
    while (true) {
        // A version may hold a '+', but then digits or letters of a local part follow; packages are joined by '+'
        // alone, so a local version cannot be asked for here.
        const auto plus = rest.find('+');
        const std::string_view one = rest.substr(0, plus);
        const auto equals = one.find("==");
        const std::string_view version = equals == std::string_view::npos ? "1" : one.substr(equals + 2);
        const bool version_good = !version.empty() && std::all_of(version.begin(), version.end(), [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '!' || c == '-' || c == '_';
        });
        if (!is_word(one.substr(0, equals)) || !version_good)
            wrong(text, fmt::format("\"{}\" is not of the form package or package==version", one));
        out.packages.emplace_back(one);
        if (plus == std::string_view::npos) break;
        rest = rest.substr(plus + 1);
    }
    out.location = out.packages.front().substr(0, out.packages.front().find("=="));
}

void parse_https(std::string_view text, SourceSpec& out) {
    const auto hash = text.find('#');
    if (hash != std::string_view::npos) {
        const std::string_view fragment = text.substr(hash + 1);
        if (!fragment.starts_with("sha256=") || !layout::is_hex64(fragment.substr(7)))
            wrong(text, "what follows the '#' must be sha256= and 64 lower-case hex digits");
        out.sha256 = std::string(fragment.substr(7));
    }
    out.location = std::string(text.substr(0, hash));
    static_cast<void>(http::check_url(out.location));
}

void parse_oci(std::string_view text, std::string_view rest, SourceSpec& out) {
    if (const auto hash = rest.find('#'); hash != std::string_view::npos) {
        out.file = std::string(rest.substr(hash + 1));
        rest = rest.substr(0, hash);
        const std::string fault = layout::path_fault(out.file);
        if (!fault.empty()) wrong(text, fmt::format("its file name is refused: {}", fault));
    }
    const registry::Reference at = registry::parse_reference(rest);
    out.location = at.host + "/" + at.name;
    out.revision = at.version();
    // One spelling for one thing: it is compared with what the store wrote down.
    out.text = at.str() + (out.file.empty() ? "" : "#" + out.file);
}

}  // namespace

const char* source_kind_name(SourceKind k) noexcept {
    switch (k) {
        case SourceKind::https:
            return "https";
        case SourceKind::hf:
            return "hf";
        case SourceKind::pypi:
            return "pypi";
        case SourceKind::oci:
            return "oci";
        case SourceKind::file:
            break;
    }
    return "file";
}

bool SourceSpec::has_scheme(std::string_view text) noexcept {
    return text.starts_with("hf:") || text.starts_with("pypi:") || text.starts_with("oci:") ||
           text.starts_with("file:") || text.find("://") != std::string_view::npos;
}

SourceSpec SourceSpec::parse(std::string_view text) {
    SourceSpec out;
    out.text = std::string(text);
    if (text.empty()) wrong(text, "it is empty");
    if (text.find('\0') != std::string_view::npos) wrong(text.substr(0, text.find('\0')), "it holds a zero byte");
    if (text.starts_with("hf:")) {
        out.kind = SourceKind::hf;
        parse_hf(text, text.substr(3), out);
    } else if (text.starts_with("pypi:")) {
        out.kind = SourceKind::pypi;
        parse_pypi(text, text.substr(5), out);
    } else if (text.starts_with("oci:")) {
        out.kind = SourceKind::oci;
        parse_oci(text, text.substr(4), out);
    } else if (text.starts_with("file:")) {
        std::string_view path = text.substr(5);
        if (path.starts_with("//")) path.remove_prefix(2);
        if (path.empty()) wrong(text, "there is no path after \"file:\"");
        out.location = std::string(path);
    } else if (text.find("://") != std::string_view::npos) {
        out.kind = SourceKind::https;
        parse_https(text, out);
    } else {
        out.location = std::string(text);
    }
    return out;
}

namespace sources {

const ExpectedFile* expectation(const FetchOptions& options, const std::string& path) {
    const auto it = options.expected.find(path);
    if (it != options.expected.end()) return &it->second;
    // A catalogue entry of one file may be called differently at each of its sources.
    return options.expected.size() == 1 ? &options.expected.begin()->second : nullptr;
}

bool take_present(const FetchOptions& options, const std::string& sha256, const std::filesystem::path& to) {
    if (sha256.empty() || !options.have) return false;
    const std::filesystem::path blob = options.have(sha256);
    if (blob.empty()) return false;
    disk::make_folders(to.parent_path());
    std::error_code ec;
    std::filesystem::remove(to, ec);
    std::filesystem::create_hard_link(blob, to, ec);
    return !ec;
}

}  // namespace sources

namespace {

// Empty: any. Set once, before anything is fetched, by a process that does nothing else.
std::optional<std::vector<std::string>>& allowed_hosts() {
    static std::optional<std::vector<std::string>> hosts;
    return hosts;
}

void check_kind(const SourceSpec& source) {
    if (!allowed_hosts()) return;
    if (source.kind == SourceKind::file)
        throw Error(ErrorKind::denied, fmt::format("{} is a path, and only hosts may be fetched from.", source.text));
    if (source.kind == SourceKind::pypi) sources::check_host("pypi");
}

}  // namespace

void restrict_sources(std::vector<std::string> hosts) {
    allowed_hosts() = std::move(hosts);
}

void sources::check_host(std::string_view host) {
    const auto& hosts = allowed_hosts();
    if (!hosts || std::ranges::find(*hosts, host) != hosts->end()) return;
    throw Error(
        ErrorKind::denied, fmt::format("Nothing may be fetched from {} here.", printable(host)),
        hosts->empty() ? std::string("No host is allowed.") : fmt::format("Allowed: {}.", fmt::join(*hosts, ", ")));
}

SourcePlan plan_fetch(const SourceSpec& source, const FetchOptions& options) {
    check_kind(source);
    switch (source.kind) {
        case SourceKind::https:
            return sources::plan_https(source, options);
        case SourceKind::hf:
            return sources::plan_hf(source, options);
        case SourceKind::oci:
            return sources::plan_oci(source, options);
        case SourceKind::pypi:
            return {};  // pip tells only while it fetches
        case SourceKind::file:
            break;
    }
    return sources::plan_file(source);
}

Fetched fetch(const SourceSpec& source, const FetchOptions& options) {
    check_kind(source);
    disk::make_folders(options.partial_dir);
    Fetched out;
    switch (source.kind) {
        case SourceKind::https:
            out = sources::fetch_https(source, options);
            break;
        case SourceKind::hf:
            out = sources::fetch_hf(source, options);
            break;
        case SourceKind::pypi:
            out = sources::fetch_pypi(source, options);
            break;
        case SourceKind::oci:
            out = sources::fetch_oci(source, options);
            break;
        case SourceKind::file:
            out = sources::fetch_file(source, options);
            break;
    }
    if (out.files.empty())
        throw Error(ErrorKind::not_found, fmt::format("{} holds no model that this build reads.", source.text),
                    "It needs a GGUF file, a folder with config.json and safetensors, or a llama2.c checkpoint.");
    if (options.expected.size() == 1 && out.files.size() == 1) out.files[0].path = options.expected.begin()->first;
    for (const FetchedFile& file : out.files) {
        const std::string fault = layout::path_fault(file.path);
        if (!fault.empty())
            throw Error(ErrorKind::bad_file,
                        fmt::format("{}: the file name \"{}\" is refused: {}.", source.text, file.path, fault));
        const ExpectedFile* expected = sources::expectation(options, file.path);
        if (expected == nullptr || expected->sha256.empty() || file.sha256.empty() || expected->sha256 == file.sha256)
            continue;
        disk::remove_tree(options.partial_dir);  // or the next try would find the same bytes again
        throw Error(
            ErrorKind::bad_file,
            fmt::format("{} of {} is not what was expected: its digest is sha256:{}, not sha256:{}.", file.path,
                        source.text, file.sha256, expected->sha256),
            "The file was replaced at its source, or damaged on its way; use another source, or a newer catalogue.");
    }
    for (const auto& [path, expected] : options.expected) {
        const bool there = std::any_of(out.files.begin(), out.files.end(),
                                       [&, &path = path](const auto& f) { return f.path == path; });
        if (!there && options.expected.size() > 1)
            throw Error(ErrorKind::bad_file,
                        fmt::format("{} did not bring {}, which belongs to the model.", source.text, path),
                        "The source has changed; use another one, or a newer catalogue.");
    }
    return out;
}

}  // namespace freehold
