// A path becomes files, files become content: mapping, symbolic links, files that were split into parts, the report.
#include "freehold/scan/scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <new>

#include "context.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/base/threads.h"
#include "parallel.h"

namespace freehold::scan {
namespace fs = std::filesystem;
namespace {

// Runs `look` so that nothing of the file's doing gets out.
template <class F>
void guarded(FileResult& result, F&& look) {
    try {
        look();
    } catch (const std::bad_alloc&) {
        result.gaps.push_back({"", "it asks for more memory than there is"});
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled) throw;
        result.gaps.push_back({"", error.message()});
    }
    std::ranges::stable_sort(result.findings,
                             [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
}

// The store and the hub's cache keep a file as a blob under its digest and link to it.
bool is_blob_link(const fs::path& target) {
    const std::string leaf = target.filename().string();
    bool blobs = false;
    for (const auto& part : target.parent_path()) blobs = blobs || part == "blobs";
    return blobs && leaf.size() >= 40 && leaf.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Says how far a scan is, from whatever thread, but not too often.
class Meter {
 public:
    Meter(const Progress& progress, std::uint64_t total) : progress_(progress), total_(total) {}

    void add(std::uint64_t bytes) {
        done_ += bytes;
        if (!progress_) return;
        const std::unique_lock lock(mutex_, std::try_to_lock);
        const auto now = std::chrono::steady_clock::now();
        if (!lock.owns_lock() || now - said_ < std::chrono::milliseconds(100)) return;
        said_ = now;
        progress_({"scanning", std::min(done_.load(), total_), total_});
    }

 private:
    const Progress& progress_;
    std::uint64_t total_;
    std::atomic<std::uint64_t> done_{0};
    std::mutex mutex_;
    std::chrono::steady_clock::time_point said_ = std::chrono::steady_clock::now();
};

// Looks at what stands at `path`; result.path says under which name.
void look_at_file(const fs::path& path, FileResult& result, const Options& options, unsigned threads, Meter& meter) {
    guarded(result, [&] {
        std::error_code ec;
        result.bytes = fs::file_size(path, ec);
        if (!ec && result.bytes == 0) {
            result.kind = "empty file";
            return;
        }
        const auto mapped = MappedFile::open(path);
        if (result.kind == "symbolic link") result.kind.clear();
        // Searches of parts may overlap: more than the file has is not told.
        std::atomic<std::uint64_t> told{0};
        const auto advance = [&](std::uint64_t bytes) {
            const std::uint64_t before = told.fetch_add(bytes);
            const std::uint64_t left = result.bytes - std::min(result.bytes, before);
            meter.add(std::min(left, bytes));
        };
        Context context(options.limits, result, {threads, advance});
        Content content;
        content.bytes = mapped->bytes();
        content.name = result.path;
        scan_content(context, content);
        advance(result.bytes);
    });
}

unsigned threads_of(const Options& options) {
    return options.threads != 0 ? options.threads : static_cast<unsigned>(available_threads());
}

class Folder {
 public:
    Folder(const fs::path& root, const Options& options, Report& report)
        : root_(root), options_(options), report_(report) {}

    void run() {
        std::error_code ec;
        canonical_ = fs::canonical(root_, ec);
        std::vector<fs::path> paths;
        for (fs::recursive_directory_iterator it(root_, ec), end; !ec && it != end; it.increment(ec)) {
            if (paths.size() >= options_.limits.files) {
                gap(".", fmt::format("the folder holds more than {} files", options_.limits.files));
                break;
            }
            std::error_code ignored;
            if (it->is_symlink(ignored) || !it->is_directory(ignored)) paths.push_back(it->path());
        }
        if (ec) gap(".", fmt::format("the folder cannot be read: {}", ec.message()));
        std::ranges::sort(paths);
        look_at(paths);
        join_parts(paths);
    }

 private:
    // Small files several at a time, then each large one by all threads.
    void look_at(const std::vector<fs::path>& paths) {
        constexpr std::uint64_t kLarge = 32U << 20;
        std::vector<std::size_t> small, large;
        std::uint64_t total = 0;
        for (std::size_t i = 0; i < paths.size(); ++i) {
            std::error_code ec;
            const std::uint64_t size = fs::is_regular_file(paths[i], ec) ? fs::file_size(paths[i], ec) : 0;
            (size > kLarge && !ec ? large : small).push_back(i);
            total += ec ? 0 : size;
        }
        Meter meter(options_.progress, total);
        std::vector<std::optional<FileResult>> results(paths.size());
        const auto look = [&](std::size_t i, unsigned threads) {
            const std::string name = paths[i].lexically_relative(root_).generic_string();
            results[i] = one(paths[i], name.empty() ? paths[i].filename().string() : name, threads, meter);
        };
        on_threads(threads_of(options_), small.size(), [&](std::size_t k) { look(small[k], 1); });
        for (const std::size_t i : large) look(i, threads_of(options_));
        for (std::optional<FileResult>& result : results)
            if (result) report_.files.push_back(std::move(*result));
    }

    void gap(const std::string& name, std::string reason) {
        FileResult result;
        result.path = name;
        result.kind = "folder";
        result.gaps.push_back({"", std::move(reason)});
        report_.files.push_back(std::move(result));
    }

    // nullopt: it is looked at under another name.
    std::optional<FileResult> one(const fs::path& path, const std::string& name, unsigned threads, Meter& meter) const {
        FileResult result;
        result.path = name;
        std::error_code ec;
        if (fs::is_symlink(path, ec)) {
            const fs::path target = fs::canonical(path, ec);
            result.kind = "symbolic link";
            if (ec) {
                result.gaps.push_back({"", "the link leads nowhere"});
            } else if (const fs::path inside = target.lexically_relative(canonical_);
                       !inside.empty() && *inside.begin() != "..") {
                return std::nullopt;
            } else if (!is_blob_link(target)) {
                Context context(options_.limits, result);
                context.find("link.outside", {}, {}, fmt::format("The link leads to {}.", printable(target.string())));
                result.gaps.push_back({"", "the link was not followed"});
            } else {
                look_at_file(target, result, options_, threads, meter);
            }
        } else if (fs::is_regular_file(path, ec)) {
            look_at_file(path, result, options_, threads, meter);
        } else {
            result.kind = "special file";
            result.gaps.push_back({"", "it is a device, a pipe or a socket"});
        }
        return result;
    }

    // "model.pkl.001", "model.pkl.002": harmless each, and one file for whoever joins them.
    void join_parts(const std::vector<fs::path>& paths) {
        std::map<std::string, std::vector<fs::path>> groups;
        for (const fs::path& path : paths) {
            const std::string name = path.string();
            const std::size_t dot = name.rfind('.');
            if (dot == std::string::npos || dot + 1 == name.size()) continue;
            std::string end = name.substr(dot + 1);
            if (end.starts_with("part")) end = end.substr(4);
            const bool digits = !end.empty() && end.find_first_not_of("0123456789") == std::string::npos;
            const bool letters = end.size() == 2 && end[0] == 'a' && end[1] >= 'a' && end[1] <= 'z';
            if (digits || letters) groups[name.substr(0, dot)].push_back(path);
        }
        for (const auto& group : groups) {
            const std::string& stem = group.first;
            const std::vector<fs::path>& parts = group.second;
            if (parts.size() < 2) continue;
            FileResult result;
            std::error_code ec;
            result.path = fs::path(stem).lexically_relative(root_).generic_string() + " (joined)";
            guarded(result, [&] {
                std::string whole;
                for (const fs::path& part : parts) {
                    if (!fs::is_regular_file(part, ec) || fs::is_symlink(part, ec)) continue;
                    if (whole.size() + fs::file_size(part, ec) > options_.limits.member) {
                        result.gaps.push_back({"", fmt::format("its {} parts are together larger than {} bytes",
                                                               parts.size(), options_.limits.member)});
                        return;
                    }
                    whole += read_text(part, options_.limits.member);
                }
                result.bytes = whole.size();
                Context context(options_.limits, result, {threads_of(options_), {}});
                Content content;
                content.bytes = bytes_of(whole);
                content.name = stem;
                scan_content(context, content);
            });
            report_.files.push_back(std::move(result));
        }
    }

    const fs::path& root_;
    const Options& options_;
    Report& report_;
    fs::path canonical_;
};

}  // namespace

Outcome FileResult::outcome() const noexcept {
    return !findings.empty() ? Outcome::finding : !gaps.empty() ? Outcome::not_scanned : Outcome::clean;
}

std::size_t Report::count(Outcome outcome) const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(files, [&](const FileResult& f) { return f.outcome() == outcome; }));
}

Outcome Report::outcome() const noexcept {
    return count(Outcome::finding) > 0       ? Outcome::finding
           : count(Outcome::not_scanned) > 0 ? Outcome::not_scanned
                                             : Outcome::clean;
}

std::optional<Severity> Report::worst() const noexcept {
    std::optional<Severity> out;
    for (const FileResult& file : files)
        for (const Finding& finding : file.findings) out = std::max(out.value_or(Severity::low), finding.severity);
    return out;
}

FileResult scan_bytes(std::span<const std::byte> bytes, std::string_view name, const Options& options) {
    FileResult result;
    result.path = std::string(name);
    result.bytes = bytes.size();
    guarded(result, [&] {
        Context context(options.limits, result, {threads_of(options), {}});
        Content content;
        content.bytes = bytes;
        content.name = std::string(name);
        scan_content(context, content);
    });
    return result;
}

FileResult scan_file(const fs::path& path, std::string_view name, const Options& options) {
    FileResult result;
    result.path = std::string(name);
    std::error_code ec;
    if (fs::is_regular_file(path, ec)) {
        Meter meter(options.progress, fs::file_size(path, ec));
        look_at_file(path, result, options, threads_of(options), meter);
    } else {
        result.kind = "special file";
        result.gaps.push_back({"", ec ? "it cannot be read" : "it is a device, a pipe or a socket"});
    }
    return result;
}

Report scan_path(const fs::path& path, const Options& options) {
    const auto start = std::chrono::steady_clock::now();
    Report report;
    report.target = path.string();
    std::error_code ec;
    if (!fs::exists(path, ec))
        throw Error(ErrorKind::not_found, fmt::format("{} does not exist.", printable(path.string())),
                    "Check the spelling of the path.");
    if (fs::is_directory(path, ec)) {
        Folder(path, options, report).run();
    } else {
        report.files.push_back(scan_file(path, path.filename().string(), options));
    }
    weigh_remote_code(report);
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report;
}

void weigh_remote_code(Report& report) {
    std::optional<Severity> worst;
    for (const FileResult& file : report.files)
        for (const Finding& finding : file.findings)
            if (const std::string_view id = finding.rule->id; id.starts_with("code.") && id != "code.remote")
                worst = std::max(worst.value_or(Severity::low), finding.severity);
    if (!worst || *worst == Severity::low) return;
    for (FileResult& file : report.files)
        for (Finding& finding : file.findings)
            if (std::string_view(finding.rule->id) == "code.remote")
                finding.severity = std::max(finding.severity, *worst);
}

}  // namespace freehold::scan
