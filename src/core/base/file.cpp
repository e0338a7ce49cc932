// Mapped reading and atomic writing; the only place of the program that renames over a file.
#include "freehold/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "freehold/base/error.h"

namespace freehold {

namespace {

constexpr std::size_t kGatherBytes = 256 * 1024;

[[noreturn]] void throw_errno(int error, const std::string& what, const std::filesystem::path& path) {
    const ErrorKind kind = error == ENOENT || error == ENOTDIR ? ErrorKind::not_found : ErrorKind::io;
    std::string hint;
    if (error == ENOENT || error == ENOTDIR) hint = "Check the spelling of the path.";
    if (error == EACCES || error == EPERM || error == EROFS) hint = "Check the permissions of the file and its folder.";
    if (error == ENOSPC || error == EDQUOT) hint = "Free some space on that disk and try again.";
    if (error == ENOMEM) hint = "Free some memory, or raise the limit on address space (ulimit -v).";
    throw Error(kind, what + " " + path.string() + ": " + std::strerror(error) + ".", hint);
}

struct Descriptor {
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int fd_;
};

// Opens a plain file for reading and tells its size; folders, pipes and devices are refused.
std::size_t open_plain(const Descriptor& file, const std::filesystem::path& path) {
    if (file.fd_ < 0) throw_errno(errno, "Cannot open", path);
    struct stat info {};
    if (::fstat(file.fd_, &info) != 0) throw_errno(errno, "Cannot look at", path);
    if (!S_ISREG(info.st_mode)) {
        throw Error(ErrorKind::io,
                    path.string() + (S_ISDIR(info.st_mode) ? " is a folder, not a file." : " is not a plain file."),
                    "Give the path of a file.");
    }
    return static_cast<std::size_t>(info.st_size);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    const std::size_t size = open_plain(file, path);
    std::shared_ptr<MappedFile> mapped(new MappedFile());  // the constructor is private: make_shared cannot reach it
    mapped->path_ = path;
    if (size > 0) {
        void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd_, 0);
        if (address == MAP_FAILED) throw_errno(errno, "Cannot map", path);
        mapped->data_ = static_cast<const std::byte*>(address);
        mapped->size_ = size;
    }
    return mapped;
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::size_t offset, std::size_t length) const noexcept {
    if (offset >= size_) return;
    length = std::min(length, size_ - offset);
    // Only pages that lie wholly inside: the ones at the border may hold a neighbour.
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t begin = (offset + page - 1) / page * page;
    const std::size_t end = offset + length == size_ ? size_ : (offset + length) / page * page;
    if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
    struct stat there {};
    if (::lstat(target_.c_str(), &there) == 0 && S_ISLNK(there.st_mode)) {
        // The file that a link stands for is what the user means; a link that leads nowhere is made good.
        std::error_code ignored;
        const std::filesystem::path real = std::filesystem::weakly_canonical(target_, ignored);
        if (!ignored) target_ = real;
    }
    if (::stat(target_.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
        if (S_ISDIR(there.st_mode))
            throw Error(ErrorKind::io, target_.string() + " is a folder, not a file.",
                        "Give the name of a file in it.");
        // A device or a pipe is written to as it is; nothing is put in its place.
        temporary_ = target_;
        fd_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
        if (fd_ < 0) throw_errno(errno, "Cannot open", target_);
        in_place_ = true;
        return;
    }
    static std::atomic<unsigned> counter{0};
    for (int attempt = 0; attempt < 100; ++attempt) {
        temporary_ = target_.parent_path() / ("." + target_.filename().string() + ".tmp-" + std::to_string(::getpid()) +
                                              "-" + std::to_string(counter.fetch_add(1)));
        fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd_ >= 0 || errno != EEXIST) break;  // a leftover of a killed process with our number: take the next name
    }
    if (fd_ < 0) throw_errno(errno, "Cannot create", target_);
    struct stat info {};
    if (::stat(target_.c_str(), &info) == 0) static_cast<void>(::fchmod(fd_, info.st_mode & 07777));
    gathered_.reserve(kGatherBytes);
}

AtomicFile::~AtomicFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    if (!in_place_) ::unlink(temporary_.c_str());
}

void AtomicFile::write_through(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "Cannot write", target_);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

void AtomicFile::flush() {
    write_through(gathered_);
    gathered_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
    if (fd_ < 0) throw Error(ErrorKind::internal, "Write to " + target_.string() + " after its commit.");
    if (gathered_.size() + bytes.size() > kGatherBytes) flush();
    if (bytes.size() > kGatherBytes) {
        write_through(bytes);
    } else {
        gathered_.insert(gathered_.end(), bytes.begin(), bytes.end());
    }
    written_ += bytes.size();
}

void AtomicFile::write(std::string_view text) {
    write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
    if (fd_ < 0) throw Error(ErrorKind::internal, "Second commit of " + target_.string() + ".");
    flush();
    if (in_place_) {
        ::close(fd_);
        fd_ = -1;
        return;
    }
    if (::fsync(fd_) != 0) throw_errno(errno, "Cannot bring to disk", temporary_);
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) throw_errno(errno, "Cannot put into place", target_);
    ::close(fd_);
    fd_ = -1;
    // The new name itself reaches the disk with the folder; some file systems cannot do that and need not.
    const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
    const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.fd_ >= 0 && ::fsync(parent.fd_) != 0 && errno != EINVAL && errno != EROFS) {
        throw_errno(errno, "Cannot bring to disk the folder", folder);
    }
}

std::string read_text(const std::filesystem::path& path, std::uint64_t max_bytes) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    const std::size_t size = open_plain(file, path);
    // Files of /proc say 0 and hold more, so reading goes on to the end, within the bound.
    std::string text;
    text.resize(std::min<std::uint64_t>(size, max_bytes) + 1);
    std::size_t done = 0;
    for (;;) {
        if (done > max_bytes) {
            throw Error(ErrorKind::limit, path.string() + " is larger than the " + std::to_string(max_bytes) +
                                              " bytes that are read for this purpose.");
        }
        if (done == text.size()) text.resize(std::min<std::uint64_t>(text.size() * 2, max_bytes + 1));
        const ssize_t n = ::read(file.fd_, text.data() + done, text.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "Cannot read", path);
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    text.resize(done);
    return text;
}

void write_text_atomic(const std::filesystem::path& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

}  // namespace freehold
