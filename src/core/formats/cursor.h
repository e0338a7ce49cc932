// Reads little-endian numbers and strings from hostile bytes: every step is checked, every complaint says where.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "builder.h"
#include "freehold/base/error.h"

namespace freehold {

class Cursor {
 public:
    // `intro` begins each complaint: "tiny.gguf is not a valid GGUF file".
    Cursor(std::span<const std::byte> bytes, std::string intro) : bytes_(bytes), intro_(std::move(intro)) {}

    // What is being read now, for complaints: "key \"general.name\"".
    void set_context(std::string context) { context_ = std::move(context); }
    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }

    [[noreturn]] void fail(const std::string& why, ErrorKind kind = ErrorKind::bad_file) const {
        throw Error(kind, fmt::format("{}: {}, offset {}: {}.", intro_, context_, at_, why), kDamagedHint);
    }

    template <class T>
    requires std::is_arithmetic_v<T> T read(std::string_view what) {
        if (left() < sizeof(T)) fail(fmt::format("the file ends inside {}", what));
        T value;
        std::memcpy(&value, bytes_.data() + at_, sizeof(T));
        at_ += sizeof(T);
        return value;
    }

    std::string string(std::string_view what) {
        const auto length = read<std::uint64_t>(what);
        if (length > left()) fail(fmt::format("{} of {} bytes goes past the end of the file", what, length));
        return this->bytes(length);
    }

    // The next `length` bytes, which the caller has held against left().
    std::string bytes(std::size_t length) {
        std::string text(reinterpret_cast<const char*>(bytes_.data() + at_), length);
        at_ += length;
        return text;
    }

    // A count of things that take at least `least` bytes each: bounded by what is left before memory is taken for them.
    void check_count(std::uint64_t count, std::size_t least, std::string_view what) const {
        if (count > left() / least)
            fail(fmt::format("{} {} cannot fit into the {} bytes that are left", count, what, left()));
    }

 private:
    std::span<const std::byte> bytes_;
    std::string intro_, context_ = "header";
    std::size_t at_ = 0;
};

}  // namespace freehold
