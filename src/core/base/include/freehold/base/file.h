// The one place that touches files whose loss would matter: mapping for reading, atomic replacement for writing (law
// 9).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace freehold {

// A whole file mapped read-only and shared. Bytes stay valid as long as one owner lives. Throws Error{not_found|io}.
class MappedFile {
 public:
    static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    // Tells the kernel that these bytes will not be read again soon (a repacked copy serves instead, law 5).
    void release(std::size_t offset, std::size_t length) const noexcept;

 private:
    MappedFile() = default;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::filesystem::path path_;
};

// Writes beside the target under a temporary name (".NAME.tmp-PID-N"); commit() does fsync, rename, fsync of the
// folder. Without commit() the target is untouched and the temporary file is removed; a kill leaves the target
// untouched and perhaps the temporary file. An existing target keeps its permission bits. Small writes are gathered.
// A symbolic link is followed; a device or a pipe is written to in place, as there is nothing to rename over.
// Throws Error{io}.
class AtomicFile {
 public:
    explicit AtomicFile(std::filesystem::path target);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(std::span<const std::byte> bytes);
    void write(std::string_view text);
    void commit();
    [[nodiscard]] std::uint64_t written() const noexcept { return written_; }

 private:
    void flush();
    void write_through(std::span<const std::byte> bytes);

    std::filesystem::path target_, temporary_;
    int fd_ = -1;
    bool in_place_ = false;
    std::uint64_t written_ = 0;
    std::vector<std::byte> gathered_;
};

// Small whole files. `max_bytes` bounds what is taken into memory; larger files are Error{limit}.
[[nodiscard]] std::string read_text(const std::filesystem::path& path, std::uint64_t max_bytes = 1ULL << 30);
void write_text_atomic(const std::filesystem::path& path, std::string_view text);

}  // namespace freehold
