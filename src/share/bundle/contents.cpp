// Folders and stored models as contents, and the bytes of an entry. A folder is walked without following any link.
#include "freehold/bundle/contents.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "freehold/base/error.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/manifest.h"

namespace freehold::bundle {
namespace {

namespace fs = std::filesystem;

constexpr int kDeepest = 32;
constexpr std::size_t kMaxFaults = 100;
constexpr std::size_t kPiece = 1U << 20U;

void fault(Contents& out, std::string sentence) {
    if (out.faults.size() < kMaxFaults) out.faults.push_back(std::move(sentence));
}

void too_many(const Contents& out) {
    if (out.entries.size() >= kMaxEntries)
        throw Error(ErrorKind::limit, fmt::format("{} holds more than {} files.", out.name, kMaxEntries),
                    "A bundle is one model.");
}

void walk(const fs::path& folder, const std::string& prefix, int depth, Contents& out) {
    if (depth > kDeepest) return fault(out, fmt::format("{} lies too deep in folders.", printable(prefix)));
    std::error_code ec;
    for (auto it = fs::directory_iterator(folder, ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
        const std::string name = prefix + it->path().filename().string();
        struct stat info {};
        if (::lstat(it->path().c_str(), &info) != 0) {
            fault(out, fmt::format("{} cannot be looked at: {}.", printable(name), std::strerror(errno)));
        } else if (S_ISDIR(info.st_mode)) {
            // git's own folder at the root is no part of a model; what signs models leaves it out too.
            if (prefix.empty() && name == ".git")
                out.skipped.push_back(name);
            else
                walk(it->path(), name + "/", depth + 1, out);
        } else if (S_ISLNK(info.st_mode)) {
            std::error_code ignored;
            fault(out, fmt::format("{} is a symbolic link (to {}): other bytes can be put behind it.", printable(name),
                                   printable(fs::read_symlink(it->path(), ignored).string())));
        } else if (!S_ISREG(info.st_mode)) {
            fault(out, fmt::format("{} is a device, pipe or socket.", printable(name)));
        } else if (const std::string wrong = name_fault(name); !wrong.empty()) {
            fault(out, fmt::format("The name \"{}\" is refused: {}.", printable(name), wrong));
        } else {
            too_many(out);
            out.entries.push_back({name, it->path(), 0, static_cast<std::uint64_t>(info.st_size), {}});
        }
    }
    if (ec) fault(out, fmt::format("{} cannot be listed: {}.", folder.string(), ec.message()));
}

class Reader {
 public:
    explicit Reader(const Entry& entry) : entry_(entry) {
        fd_ = ::open(entry.at.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd_ < 0)
            throw Error(errno == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                        fmt::format("Cannot open {}: {}.", entry.at.string(), std::strerror(errno)),
                        "Check that it is there and may be read.");
    }
    ~Reader() { ::close(fd_); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // Fills as much of `into` as there is; Error{io} where the file ends early.
    void read(std::span<std::byte> into, std::uint64_t from) const {
        for (std::size_t done = 0; done < into.size();) {
            const ssize_t n =
                ::pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(entry_.offset + from + done));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0)
                throw Error(ErrorKind::io, fmt::format("{} ended before its end while it was read.", entry_.name),
                            "Somebody is writing to it; try again.");
            done += static_cast<std::size_t>(n);
        }
    }

 private:
    const Entry& entry_;
    int fd_ = -1;
};

}  // namespace

const Entry* Contents::find(std::string_view entry) const noexcept {
    const auto it = std::ranges::lower_bound(entries, entry, {}, &Entry::name);
    return it != entries.end() && it->name == entry ? &*it : nullptr;
}

Contents contents_of_path(const fs::path& path) {
    std::error_code ec;
    if (fs::is_directory(path, ec)) {
        Contents out;
        out.name = path.string();
        walk(path, "", 0, out);
        std::ranges::sort(out.entries, {}, &Entry::name);
        std::ranges::sort(out.faults);
        return out;
    }
    const auto mapped = MappedFile::open(path);
    if (!is_tar(mapped->bytes()))
        throw Error(ErrorKind::bad_file, fmt::format("{} is neither a folder nor a tar archive.", path.string()),
                    "Name a bundle as 'freehold pack' made it, or a stored model.");
    return contents_of_tar(mapped->bytes(), path);
}

Contents contents_of_model(const Store& store, const StoredModel& model) {
    Contents out;
    out.name = model.name.str();
    for (const StoredFile& file : model.files)
        out.entries.push_back({file.path, store.file_path(file), 0, file.size, file.digest});
    std::ranges::sort(out.entries, {}, &Entry::name);
    return out;
}

std::string read_entry(const Entry& entry, std::uint64_t max_bytes) {
    if (entry.size > max_bytes)
        throw Error(ErrorKind::limit, fmt::format("{} is larger than {} bytes.", entry.name, max_bytes),
                    "A document of a bundle is smaller than that.");
    std::string out(entry.size, '\0');
    Reader(entry).read(std::as_writable_bytes(std::span(out)), 0);
    return out;
}

std::string digest_entry(const Entry& entry, const Progress& progress) {
    Sha256 sha;
    const Reader reader(entry);
    std::vector<std::byte> piece(std::min<std::uint64_t>(kPiece, entry.size));
    for (std::uint64_t done = 0; done < entry.size;) {
        const std::span<std::byte> part =
            std::span(piece).first(std::min<std::uint64_t>(piece.size(), entry.size - done));
        reader.read(part, done);
        sha.update(part);
        done += part.size();
        if (progress) progress({"verifying " + entry.name, done, entry.size, "B"});
    }
    return sha.hex();
}

}  // namespace freehold::bundle
