// What the store does to the disk beside AtomicFile: locks between processes, hashing writers for large files, durable
// renames. Tests may lose power here on purpose: everything passes through these few functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "freehold/base/hash.h"
#include "freehold/base/progress.h"

namespace freehold::disk {

// An owned file descriptor.
class Fd {
 public:
    explicit Fd(int fd = -1) noexcept : fd_(fd) {}
    ~Fd();
    Fd(Fd&& other) noexcept;
    Fd& operator=(Fd&& other) noexcept;
    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }

 private:
    int fd_;
};

// flock on a file of its own; released when the object goes, or its process dies. The lock is on the name: a holder
// may remove the file, and whoever waited takes the new one.
class FileLock {
 public:
    static FileLock wait(const std::filesystem::path& path);
    static std::optional<FileLock> try_take(const std::filesystem::path& path);

 private:
    explicit FileLock(Fd fd) noexcept : fd_(std::move(fd)) {}
    Fd fd_;
};

// Appends to a file and hashes what passes. With `resume` the bytes that lie there are hashed first and kept.
class HashingWriter {
 public:
    HashingWriter(std::filesystem::path path, bool resume);
    void write(std::span<const std::byte> bytes);
    // fsync and close; the digest (hex) of everything in the file.
    [[nodiscard]] std::string finish();
    // Throws away what is there and begins again.
    void restart();
    // Durable up to here, for a later resume.
    void sync();
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
    std::filesystem::path path_;
    Fd fd_;
    Sha256 hash_;
    std::uint64_t size_ = 0;
};

struct Copied {
    std::uint64_t size = 0;
    std::string sha256;
};
// Copies bytes to a new file, durable, hashing what was written.
Copied copy_hashing(const std::filesystem::path& from, const std::filesystem::path& to, const Progress& progress,
                    const std::string& what);

struct FileFacts {
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    bool regular = false;
};
// nullopt if there is none. Follows symbolic links.
[[nodiscard]] std::optional<FileFacts> facts(const std::filesystem::path& path);

void make_folders(const std::filesystem::path& path);
void sync_folder(const std::filesystem::path& path);
// rename within one file system (both folders fsynced), else copy, fsync, rename, remove.
void move_durable(const std::filesystem::path& from, const std::filesystem::path& to);
// Removes quietly; a file that is not there is fine. Returns bytes freed.
std::uint64_t remove_tree(const std::filesystem::path& path) noexcept;
// Error{io} with the numbers if the file system of `folder` has less than `need` bytes left.
void need_space(const std::filesystem::path& folder, std::uint64_t need, const std::string& what);

}  // namespace freehold::disk
