// Locks, hashing writers and durable renames for the store (law 9). POSIX calls stay in this file.
// Messages carry the path and the operating system's own word for what failed.
#include "disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "freehold/base/error.h"

namespace freehold::disk {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail(const char* doing, const fs::path& path, int error) {
    std::string hint;
    if (error == ENOSPC || error == EDQUOT)
        hint = "Free some space, or set FREEHOLD_HOME to a folder on a larger disk.";
    if (error == EACCES || error == EPERM || error == EROFS)
        hint = "Check who owns the folder, or set FREEHOLD_HOME to one that you may write.";
    throw Error(error == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                fmt::format("Could not {} {}: {}.", doing, path.string(), std::strerror(error)), hint);
}

Fd open_or_fail(const fs::path& path, int flags, const char* doing) {
    int fd = -1;
    do fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) fail(doing, path, errno);
    return Fd(fd);
}

void write_all(int fd, std::span<const std::byte> bytes, const fs::path& path) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0) {
            if (errno == EINTR) continue;
            fail("write", path, errno);
        }
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

std::size_t read_some(int fd, std::span<std::byte> buffer, const fs::path& path) {
    while (true) {
        const ssize_t n = ::read(fd, buffer.data(), buffer.size());
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EINTR) fail("read", path, errno);
    }
}

void sync_fd(int fd, const fs::path& path) {
    if (::fsync(fd) != 0 && errno != EINVAL) fail("flush", path, errno);
}

// Takes the lock on the name: a file that was removed or replaced while we waited does not count.
std::optional<Fd> lock_name(const fs::path& path, bool block) {
    while (true) {
        Fd fd = open_or_fail(path, O_RDWR | O_CREAT, "open the lock file");
        int rc = 0;
        do rc = ::flock(fd.get(), LOCK_EX | (block ? 0 : LOCK_NB));
        while (rc != 0 && errno == EINTR);
        if (rc != 0) {
            if (errno == EWOULDBLOCK) return std::nullopt;
            fail("lock", path, errno);
        }
        struct stat held {
        }, named{};
        if (::fstat(fd.get(), &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
            held.st_dev == named.st_dev) {
            return fd;
        }
    }
}

}  // namespace

Fd::~Fd() {
    if (fd_ >= 0) ::close(fd_);
}
Fd::Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        if (fd_ >= 0) ::close(fd_);
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

FileLock FileLock::wait(const fs::path& path) {
    return FileLock(std::move(*lock_name(path, true)));
}

std::optional<FileLock> FileLock::try_take(const fs::path& path) {
    auto fd = lock_name(path, false);
    if (!fd) return std::nullopt;
    return FileLock(std::move(*fd));
}

HashingWriter::HashingWriter(fs::path path, bool resume) : path_(std::move(path)) {
    fd_ = open_or_fail(path_, O_RDWR | O_CREAT | (resume ? 0 : O_TRUNC), "open");
    if (!resume) return;
    std::vector<std::byte> buffer(1 << 20);
    while (const std::size_t n = read_some(fd_.get(), buffer, path_)) {
        hash_.update(std::span(buffer).first(n));
        size_ += n;
    }
}

void HashingWriter::write(std::span<const std::byte> bytes) {
    write_all(fd_.get(), bytes, path_);
    hash_.update(bytes);
    size_ += bytes.size();
}

std::string HashingWriter::finish() {
    sync();
    fd_ = Fd();
    return hash_.hex();
}

void HashingWriter::restart() {
    if (::ftruncate(fd_.get(), 0) != 0 || ::lseek(fd_.get(), 0, SEEK_SET) != 0) fail("empty", path_, errno);
    hash_ = Sha256();
    size_ = 0;
}

void HashingWriter::sync() {
    sync_fd(fd_.get(), path_);
}

Copied copy_hashing(const fs::path& from, const fs::path& to, const Progress& progress, const std::string& what) {
    const Fd in = open_or_fail(from, O_RDONLY, "open");
    const auto known = facts(from);
    HashingWriter out(to, false);
    std::vector<std::byte> buffer(1 << 20);
    const std::uint64_t total = known ? known->size : 0;
    while (const std::size_t n = read_some(in.get(), buffer, from)) {
        out.write(std::span(buffer).first(n));
        if (progress) progress({what, out.size(), total, "B"});
    }
    Copied done;
    done.size = out.size();
    done.sha256 = out.finish();
    return done;
}

std::optional<FileFacts> facts(const fs::path& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
        fail("look at", path, errno);
    }
    FileFacts out;
    out.size = static_cast<std::uint64_t>(st.st_size);
    out.mtime_ns = std::int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec;
    out.regular = S_ISREG(st.st_mode);
    return out;
}

void make_folders(const fs::path& path) {
    std::error_code ec;
    fs::create_directories(path, ec);
    if (ec) fail("make the folder", path, ec.value());
}

void sync_folder(const fs::path& path) {
    const Fd fd = open_or_fail(path, O_RDONLY | O_DIRECTORY, "open the folder");
    sync_fd(fd.get(), path);
}

void move_durable(const fs::path& from, const fs::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) {
        if (errno != EXDEV) fail("move to", to, errno);
        fs::path beside = to;
        beside += ".moving";
        copy_hashing(from, beside, {}, {});
        if (::rename(beside.c_str(), to.c_str()) != 0) fail("move to", to, errno);
        ::unlink(from.c_str());
    }
    sync_folder(to.parent_path());
}

std::uint64_t remove_tree(const fs::path& path) noexcept {
    try {
        std::uint64_t bytes = 0;
        std::error_code ec;
        if (fs::is_directory(fs::symlink_status(path, ec))) {
            for (fs::recursive_directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
                if (it->is_regular_file(ec) && !it->is_symlink(ec) && it->hard_link_count(ec) == 1)
                    bytes += it->file_size(ec);
            }
            fs::remove_all(path, ec);
            return bytes;
        }
        if (const auto known = facts(path); known && known->regular) bytes = known->size;
        return fs::remove(path, ec) ? bytes : 0;
    } catch (...) {
        return 0;
    }
}

void need_space(const fs::path& folder, std::uint64_t need, const std::string& what) {
    std::error_code ec;
    const fs::space_info space = fs::space(folder, ec);
    if (ec || space.available >= need) return;
    throw Error(
        ErrorKind::io,
        fmt::format("{} needs {:.1f} MB, but only {:.1f} MB are free where {} lies.", what,
                    static_cast<double>(need) / 1e6, static_cast<double>(space.available) / 1e6, folder.string()),
        "Free some space, or set FREEHOLD_HOME to a folder on a larger disk.");
}

}  // namespace freehold::disk
