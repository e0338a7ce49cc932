// Makes ZIP archives for tests, also wrong ones: every field of an entry can be lied about.
// Stored or deflated; no ZIP64 (those come from a file).
#pragma once

#include <zlib.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::testing {

struct ZipItem {
    std::string name;
    std::string content;
    bool deflate = true;
    std::uint32_t unix_mode = 0100644;
    std::uint16_t flags = 0;
    std::optional<std::uint16_t> method = std::nullopt;        // instead of the true one
    std::optional<std::uint32_t> claimed_size = std::nullopt;  // unpacked, in the directory
    std::optional<std::uint32_t> claimed_crc = std::nullopt;
    std::optional<std::string> local_name = std::nullopt;  // in the entry's own header
    std::optional<std::uint32_t> claimed_offset = std::nullopt;
};

class ZipMaker {
 public:
    static std::string make(const std::vector<ZipItem>& items) {
        std::string out, directory;
        for (const ZipItem& item : items) {
            const auto offset = static_cast<std::uint32_t>(out.size());
            const std::string packed = item.deflate ? deflated(item.content) : item.content;
            const auto crc = item.claimed_crc.value_or(static_cast<std::uint32_t>(::crc32(
                0, reinterpret_cast<const Bytef*>(item.content.data()), static_cast<uInt>(item.content.size()))));
            const std::uint16_t method = item.method.value_or(item.deflate ? 8 : 0);
            const std::uint32_t size = item.claimed_size.value_or(static_cast<std::uint32_t>(item.content.size()));
            const std::string local = item.local_name.value_or(item.name);
            put(out, 0x04034b50, 4);
            put(out, 20, 2);
            put(out, item.flags, 2);
            put(out, method, 2);
            put(out, 0, 4);
            put(out, crc, 4);
            put(out, static_cast<std::uint32_t>(packed.size()), 4);
            put(out, size, 4);
            put(out, static_cast<std::uint32_t>(local.size()), 2);
            put(out, 0, 2);
            out += local + packed;
            put(directory, 0x02014b50, 4);
            put(directory, 3 << 8 | 20, 2);
            put(directory, 20, 2);
            put(directory, item.flags, 2);
            put(directory, method, 2);
            put(directory, 0, 4);
            put(directory, crc, 4);
            put(directory, static_cast<std::uint32_t>(packed.size()), 4);
            put(directory, size, 4);
            put(directory, static_cast<std::uint32_t>(item.name.size()), 2);
            put(directory, 0, 2);
            put(directory, 0, 2);
            put(directory, 0, 2);
            put(directory, 0, 2);
            put(directory, item.unix_mode << 16, 4);
            put(directory, item.claimed_offset.value_or(offset), 4);
            directory += item.name;
        }
        const auto at = static_cast<std::uint32_t>(out.size());
        out += directory;
        put(out, 0x06054b50, 4);
        put(out, 0, 4);
        put(out, static_cast<std::uint32_t>(items.size()), 2);
        put(out, static_cast<std::uint32_t>(items.size()), 2);
        put(out, static_cast<std::uint32_t>(directory.size()), 4);
        put(out, at, 4);
        put(out, 0, 2);
        return out;
    }

 private:
    static void put(std::string& out, std::uint32_t value, int bytes) {
        for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
    }

    static std::string deflated(const std::string& text) {
        z_stream z{};
        if (deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
            throw std::runtime_error("deflate");
        std::string out(deflateBound(&z, static_cast<uLong>(text.size())) + 64, '\0');
        z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
        z.avail_in = static_cast<uInt>(text.size());
        z.next_out = reinterpret_cast<Bytef*>(out.data());
        z.avail_out = static_cast<uInt>(out.size());
        const int rc = ::deflate(&z, Z_FINISH);
        out.resize(out.size() - z.avail_out);
        deflateEnd(&z);
        if (rc != Z_STREAM_END) throw std::runtime_error("deflate");
        return out;
    }
};

}  // namespace freehold::testing
