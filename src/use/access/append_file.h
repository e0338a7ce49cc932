// A file that grows at its end and has its room reserved ahead: what could not be written whole leaves no trace, so
// that the same bytes can be written again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace freehold::access {

// Error{io} (Error{not_found}) with the path, the reason and what to do about a full disk.
[[noreturn]] void fail_at(const char* doing, const std::filesystem::path& path, int error);

class AppendFile {
 public:
    AppendFile() = default;
    explicit AppendFile(std::filesystem::path path);
    ~AppendFile();
    AppendFile(AppendFile&& other) noexcept;
    AppendFile& operator=(AppendFile&& other) noexcept;

    // All of it is on the disk, or Error{io} and nothing of it counts: the next call first removes what was left.
    void append_synced(std::string_view text);
    void cut(std::uint64_t size);
    // Blocks for that many bytes behind the end, which the size does not show. False: the disk has not so much.
    [[nodiscard]] bool reserve(std::uint64_t bytes) noexcept;
    void give_back_room() noexcept;
    [[nodiscard]] bool lock() noexcept;
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
    std::filesystem::path path_;
    int fd_ = -1;
    std::uint64_t size_ = 0, reserved_to_ = 0;
    bool soiled_ = false;  // bytes lie behind size_
};

}  // namespace freehold::access
