// Where the directory of a ZIP archive is, and what its readers of headers share.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace freehold::scan {

constexpr std::string_view kZipLocal = "PK\x03\x04", kZipCentral = "PK\x01\x02";

// Little-endian; the caller knows that the bytes are there.
[[nodiscard]] std::uint64_t zip_number(std::string_view b, std::uint64_t at, int width) noexcept;

struct ZipDirectory {
    std::uint64_t at = 0, size = 0, count = 0, end = 0;
    std::uint64_t shift = 0;  // bytes before the archive proper
};

// The last one that could be true, as readers look for it from the end.
[[nodiscard]] std::optional<ZipDirectory> find_zip_directory(std::string_view b);

}  // namespace freehold::scan
