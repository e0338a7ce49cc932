// What the reader of HDF5 is made of: numbers behind each other, and the filters that chunks of a dataset went through.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/checked.h"

namespace freehold::scan {

struct BrokenHdf5 {
    std::string why;
};

// Little-endian numbers behind each other; past the end is a fault.
class Hdf5Cursor {
 public:
    Hdf5Cursor(std::string_view bytes, std::uint64_t at) : b_(bytes), at_(at) {}

    std::uint64_t number(unsigned width) {
        const std::string_view bytes = take(width);
        std::uint64_t out = 0;
        for (unsigned i = width; i-- > 0;) out = out << 8 | static_cast<unsigned char>(bytes[i]);
        return out;
    }
    std::string_view take(std::uint64_t length) {
        if (!fits(at_, length, b_.size())) throw BrokenHdf5{fmt::format("something at {} goes past the end", at_)};
        const std::string_view out = b_.substr(at_, length);
        at_ += length;
        return out;
    }
    void expect(std::string_view mark) {
        const std::uint64_t at = at_;
        if (take(mark.size()) != mark) throw BrokenHdf5{fmt::format("\"{}\" is not at {}", mark, at)};
    }
    void skip(std::uint64_t length) { static_cast<void>(take(length)); }
    [[nodiscard]] std::uint64_t at() const noexcept { return at_; }
    [[nodiscard]] std::uint64_t left() const noexcept { return b_.size() - at_; }

 private:
    std::string_view b_;
    std::uint64_t at_;
};

struct Hdf5Filter {
    std::uint64_t id = 0;       // 1 deflate, 2 shuffle, 3 a checksum behind
    std::uint64_t element = 1;  // bytes, of a shuffle
};
// A filter pipeline message; nothing when one of its filters is not known here.
[[nodiscard]] std::optional<std::vector<Hdf5Filter>> read_hdf5_filters(std::string_view message);

// The bytes of a chunk that are `size` long once the filters are undone; those whose bit is set in `left_out` were not
// applied to it. Nothing where they do not come to that.
[[nodiscard]] std::optional<std::string> unpack_hdf5_chunk(std::string_view packed, std::uint64_t size,
                                                           const std::vector<Hdf5Filter>& filters,
                                                           std::uint64_t left_out);

}  // namespace freehold::scan
