// Appending to the files of the audit log, where a disk that is full or broken must cost nothing that was written.
#include "append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "freehold/base/error.h"

namespace freehold::access {

void fail_at(const char* doing, const std::filesystem::path& path, int error) {
    throw Error(error == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                fmt::format("Cannot {} {}: {}.", doing, path.string(), std::strerror(error)),
                error == ENOSPC ? "Free some space: no request is answered that cannot be recorded."
                                : "Check the folder of the audit log and who owns it.");
}

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd_ < 0) fail_at("open", path_, errno);
    struct stat info {};
    if (::fstat(fd_, &info) == 0) size_ = static_cast<std::uint64_t>(info.st_size);
}

AppendFile::~AppendFile() {
    if (fd_ >= 0) ::close(fd_);
}

AppendFile::AppendFile(AppendFile&& other) noexcept {
    *this = std::move(other);
}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(fd_, other.fd_);
    std::swap(size_, other.size_);
    std::swap(reserved_to_, other.reserved_to_);
    std::swap(soiled_, other.soiled_);
    return *this;
}

void AppendFile::append_synced(std::string_view text) {
    if (soiled_) cut(size_);
    soiled_ = true;
    for (std::string_view rest = text; !rest.empty();) {
        const ssize_t n = ::write(fd_, rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const int error = errno;
            // At once, so that readers beside us see no half line; append_synced() does it again where it fails.
            if (::ftruncate(fd_, static_cast<off_t>(size_)) == 0) reserved_to_ = 0;
            fail_at("write", path_, error);
        }
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::fsync(fd_) != 0 && errno != EINVAL) fail_at("bring to the disk", path_, errno);
    size_ += text.size();
    soiled_ = false;
}

void AppendFile::cut(std::uint64_t size) {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) fail_at("shorten", path_, errno);
    if (::fsync(fd_) != 0 && errno != EINVAL) fail_at("bring to the disk", path_, errno);
    size_ = size;
    reserved_to_ = 0;
    soiled_ = false;
}

bool AppendFile::reserve(std::uint64_t bytes) noexcept {
    // A half of it may be used before there is more, so that few calls are needed.
    if (fd_ < 0 || size_ + bytes / 2 <= reserved_to_) return true;
    if (bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - size_) return false;
    if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(size_), static_cast<off_t>(bytes)) == 0) {
        reserved_to_ = size_ + bytes;
        return true;
    }
    if (errno == EINTR) return true;  // the next batch asks again
    if (errno != EOPNOTSUPP && errno != ENOSYS) return false;
    // A file system without reservations: at least it must have so much free.
    struct statvfs disk {};
    return ::fstatvfs(fd_, &disk) != 0 || std::uint64_t{disk.f_bavail} * disk.f_frsize >= bytes;
}

void AppendFile::give_back_room() noexcept {
    if (fd_ >= 0 && reserved_to_ > size_ && !soiled_ && ::ftruncate(fd_, static_cast<off_t>(size_)) == 0)
        reserved_to_ = 0;
}

bool AppendFile::lock() noexcept {
    return ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
}

}  // namespace freehold::access
