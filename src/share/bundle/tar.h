// A tar archive written so that the same files give the same bytes: POSIX ustar, pax headers where a name or a size is
// too long for it, one time for all, no owner.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace freehold::bundle {

// The headers in front of a file of this size: one block, or three where a pax header is needed. `time` in seconds
// since 1970.
[[nodiscard]] std::string tar_header(std::string_view name, std::uint64_t size, std::int64_t time);
// Zeros that fill the last block of a file of this size.
[[nodiscard]] std::string tar_padding(std::uint64_t size);
// The end of an archive.
[[nodiscard]] std::string tar_end();

}  // namespace freehold::bundle
