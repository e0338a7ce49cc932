// Reads ZIP archives (wheels) as hostile input: by the central directory, with every offset, size, name and ratio
// checked before a byte is unpacked. Nothing is ever written by a name that the archive chose.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::zip {

struct Entry {
    std::string name;        // checked: relative, '/', no "..", printable
    std::uint64_t size = 0;  // unpacked
    std::uint64_t packed = 0;
    std::uint32_t crc = 0;
    std::uint16_t method = 0;     // 0 stored, 8 deflated
    std::uint64_t header_at = 0;  // of the local header
    bool folder = false;
};

struct Limits {
    std::uint64_t max_entries = 100000;
    std::uint64_t max_total = 1ULL << 40;  // unpacked bytes of all entries
    std::uint64_t max_ratio = 1100;        // unpacked to packed; deflate cannot do more than 1032
};

class Archive {
 public:
    // `bytes` must live as long as the archive; `what` names it in messages. Refuses traversal, absolute names,
    // backslashes, symbolic links, duplicate names, encryption, overlapping entries, other methods.
    // Error{bad_file|unsupported}.
    Archive(std::span<const std::byte> bytes, std::string what, const Limits& limits = {});

    [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
    [[nodiscard]] const Entry* find(std::string_view name) const noexcept;
    // Unpacks one entry piece by piece and checks its length and CRC; the last pieces may have been handed out before
    // a fault is seen, so keep nothing of an entry whose reading threw.
    void read(const Entry& entry, const std::function<void(std::span<const std::byte>)>& sink) const;
    // A small entry as text; Error{limit} beyond `max_bytes`.
    [[nodiscard]] std::string read_text(const Entry& entry, std::uint64_t max_bytes) const;

 private:
    [[nodiscard]] std::span<const std::byte> packed_bytes(const Entry& entry) const;
    std::span<const std::byte> bytes_;
    std::string what_;
    std::vector<Entry> entries_;
    std::uint64_t directory_at_ = 0;
};

}  // namespace freehold::zip
