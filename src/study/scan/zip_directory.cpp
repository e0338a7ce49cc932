// The end record, its 64-bit form, and which of them can be believed.
#include "zip_directory.h"

#include <algorithm>

#include "freehold/base/checked.h"

namespace freehold::scan {
namespace {

constexpr std::string_view kEnd = "PK\x05\x06", kEnd64 = "PK\x06\x06", kLocator = "PK\x06\x07";

}  // namespace

std::uint64_t zip_number(std::string_view b, std::uint64_t at, int width) noexcept {
    std::uint64_t out = 0;
    for (int i = width - 1; i >= 0; --i)
        out = out << 8 | static_cast<unsigned char>(b[at + static_cast<std::uint64_t>(i)]);
    return out;
}

std::optional<ZipDirectory> find_zip_directory(std::string_view b) {
    const std::size_t lowest = b.size() - std::min<std::size_t>(b.size(), 65557);
    // Only the tail is looked at: a search backwards through a large file defeats the system's reading ahead.
    const std::string_view tail = b.substr(lowest);
    for (std::size_t hit = tail.rfind(kEnd); hit != std::string_view::npos;
         hit = hit == 0 ? std::string_view::npos : tail.rfind(kEnd, hit - 1)) {
        const std::size_t at = lowest + hit;
        if (at + 22 > b.size()) continue;
        ZipDirectory dir;
        dir.count = zip_number(b, at + 10, 2);
        dir.size = zip_number(b, at + 12, 4);
        dir.at = zip_number(b, at + 16, 4);
        dir.end = at;
        if (at >= 20 && b.substr(at - 20, 4) == kLocator) {
            std::uint64_t at64 = zip_number(b, at - 12, 8);
            if (!fits(at64, 56, b.size()) || b.substr(at64, 4) != kEnd64) at64 = at >= 76 ? at - 76 : 0;
            if (fits(at64, 56, b.size()) && b.substr(at64, 4) == kEnd64) {
                dir.count = zip_number(b, at64 + 32, 8);
                dir.size = zip_number(b, at64 + 40, 8);
                dir.at = zip_number(b, at64 + 48, 8);
                dir.end = at64;
            }
        }
        if (dir.size > dir.end) continue;
        const std::uint64_t begins = dir.end - dir.size;
        if (dir.count > 0 && b.substr(begins, 4) != kZipCentral) {
            if (!fits(dir.at, 46, b.size()) || b.substr(dir.at, 4) != kZipCentral) continue;
            return dir;  // its size lies, its place does not
        }
        dir.shift = begins >= dir.at ? begins - dir.at : 0;
        dir.at = begins;
        return dir;
    }
    return std::nullopt;
}

}  // namespace freehold::scan
