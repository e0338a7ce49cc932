// A bundle onto the disk: whole or not at all. Every file of the model is digested once more while it is copied, so
// that what is signed is what was written.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/bundle/manifest.h"
#include "freehold/bundle/pack.h"
#include "tar.h"

namespace freehold::bundle {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kPiece = 1U << 20U;

// Passes on the bytes of a file; Error{bad_file} when they are not those that were planned.
void copy_checked(const fs::path& from, const std::string& path, std::uint64_t size, const std::string& sha256,
                  const std::function<void(std::span<const std::byte>)>& to) {
    const int fd = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        throw Error(ErrorKind::io, fmt::format("Cannot open {}: {}.", from.string(), std::strerror(errno)),
                    "Check that it is there and may be read.");
    struct Close {
        int fd;
        ~Close() { ::close(fd); }
    } const closing{fd};
    Sha256 sha;
    std::vector<std::byte> piece(kPiece);
    std::uint64_t done = 0;
    while (true) {
        const ssize_t n = ::read(fd, piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw Error(ErrorKind::io, fmt::format("Cannot read {}: {}.", from.string(), std::strerror(errno)));
        if (n == 0) break;
        const std::span<const std::byte> part = std::span(piece).first(static_cast<std::size_t>(n));
        done += part.size();
        if (done > size) break;
        sha.update(part);
        to(part);
    }
    if (done != size || sha.hex() != sha256)
        throw Error(ErrorKind::bad_file, fmt::format("{} is not what its digest says.", path),
                    "It is damaged, or somebody writes to it; 'freehold doctor --verify' reads the store again.");
}

void sync_path(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    static_cast<void>(::fsync(fd));
    ::close(fd);
}

// A folder that goes again unless it is kept.
class WorkFolder {
 public:
    explicit WorkFolder(const fs::path& target) {
        const fs::path parent = target.has_parent_path() ? target.parent_path() : fs::path(".");
        std::error_code ec;
        fs::create_directories(parent, ec);
        std::string form = (parent / ("." + target.filename().string() + ".tmp-XXXXXX")).string();
        if (::mkdtemp(form.data()) == nullptr)
            throw Error(ErrorKind::io,
                        fmt::format("Cannot make a folder in {}: {}.", parent.string(), std::strerror(errno)),
                        "Check that it exists and who owns it.");
        path_ = form;
        ::chmod(path_.c_str(), 0755);
    }
    ~WorkFolder() {
        std::error_code ec;
        if (!path_.empty()) fs::remove_all(path_, ec);
    }
    WorkFolder(const WorkFolder&) = delete;
    WorkFolder& operator=(const WorkFolder&) = delete;
    [[nodiscard]] const fs::path& path() const noexcept { return path_; }
    void keep_as(const fs::path& target) {
        // Never over something that came in the meantime: a rename onto a folder works only where that is empty.
        if (::rename(path_.c_str(), target.c_str()) != 0)
            throw Error(errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR ? ErrorKind::conflict : ErrorKind::io,
                        fmt::format("Cannot put {} in place: {}.", target.string(), std::strerror(errno)),
                        "Choose another name.");
        path_.clear();
        sync_path(target.has_parent_path() ? target.parent_path() : fs::path("."));
    }

 private:
    fs::path path_;
};

fs::path without_slash(const fs::path& path) {
    return path.has_filename() ? path : path.parent_path();
}

}  // namespace

void Pack::write_folder(const fs::path& out, const std::string& signature, const Progress& progress) const {
    const fs::path target = without_slash(out);
    WorkFolder work(target);
    std::uint64_t done = 0;
    const auto put = [&](const Item& item) {
        const fs::path to = work.path() / item.path;
        fs::create_directories(to.parent_path());
        AtomicFile file(to);
        if (item.at.empty()) {
            file.write(item.bytes);
            done += item.size;
        } else {
            copy_checked(item.at, item.path, item.size, item.sha256, [&](std::span<const std::byte> part) {
                file.write(part);
                done += part.size();
                if (progress) progress({"packing " + item.path, done, plan_.bytes, "B"});
            });
        }
        file.commit();
    };
    for (const Item& item : items_) put(item);
    if (!signature.empty()) write_text_atomic(work.path() / kSignatureFile, signature);
    work.keep_as(target);
}

void Pack::write_tar(const fs::path& out, const std::string& signature, const Progress& progress) const {
    std::error_code ec;
    if (out.has_parent_path()) fs::create_directories(out.parent_path(), ec);
    AtomicFile file(out);
    std::uint64_t done = 0;
    const auto put_text = [&](const std::string& path, const std::string& bytes) {
        file.write(tar_header(path, bytes.size(), time_));
        file.write(bytes);
        file.write(tar_padding(bytes.size()));
        done += bytes.size();
    };
    // The signature comes first: a reader of a stream knows early what to expect, and its size tells nothing about it.
    if (!signature.empty()) put_text(kSignatureFile, signature);
    for (const Item& item : items_) {
        if (item.at.empty()) {
            put_text(item.path, item.bytes);
            continue;
        }
        file.write(tar_header(item.path, item.size, time_));
        copy_checked(item.at, item.path, item.size, item.sha256, [&](std::span<const std::byte> part) {
            file.write(part);
            done += part.size();
            if (progress) progress({"packing " + item.path, done, plan_.bytes, "B"});
        });
        file.write(tar_padding(item.size));
    }
    file.write(tar_end());
    file.commit();
}

}  // namespace freehold::bundle
