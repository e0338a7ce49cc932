// ZIP by its central directory (PKWARE appnote 4.3, with ZIP64), inflated by zlib.
// The local header must agree with the directory: readers that trust only one of the two can be shown different files.
#include "zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "layout.h"

namespace freehold::zip {
namespace {

constexpr std::uint32_t kLocal = 0x04034b50;
constexpr std::uint32_t kCentral = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kLocator64 = 0x07064b50;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kCentralSize = 46;
constexpr std::size_t kLocalSize = 30;

using Bytes = std::span<const std::byte>;

std::uint64_t number(Bytes bytes, std::size_t at, int width) {
    std::uint64_t out = 0;
    for (int i = width - 1; i >= 0; --i)
        out = out << 8 | static_cast<std::uint64_t>(bytes[at + static_cast<std::size_t>(i)]);
    return out;
}
std::uint16_t u16(Bytes b, std::size_t at) {
    return static_cast<std::uint16_t>(number(b, at, 2));
}
std::uint32_t u32(Bytes b, std::size_t at) {
    return static_cast<std::uint32_t>(number(b, at, 4));
}
std::uint64_t u64(Bytes b, std::size_t at) {
    return number(b, at, 8);
}

struct Directory {
    std::uint64_t at = 0, size = 0, count = 0;
};

class Parser {
 public:
    Parser(Bytes bytes, const std::string& what, const Limits& limits) : bytes_(bytes), what_(what), limits_(limits) {}

    [[noreturn]] void bad(const std::string& message) const {
        throw Error(ErrorKind::bad_file, fmt::format("{}: {}", what_, message),
                    "The archive is damaged or was made to deceive; fetch it again, or do not use it.");
    }

    Directory find_directory() const {
        if (bytes_.size() < kEndSize) bad(fmt::format("it has {} bytes and cannot be a ZIP archive.", bytes_.size()));
        // The end record is followed by a comment of at most 65535 bytes that must reach exactly to the end.
        const std::size_t lowest = bytes_.size() - std::min<std::size_t>(bytes_.size(), kEndSize + 65535);
        for (std::size_t at = bytes_.size() - kEndSize + 1; at-- > lowest;) {
            if (u32(bytes_, at) == kEnd && at + kEndSize + u16(bytes_, at + 20) == bytes_.size()) return read_end(at);
        }
        bad("it has no ZIP end record; it is truncated, or no ZIP archive at all.");
    }

    std::vector<Entry> read_entries(const Directory& dir) const {
        std::vector<Entry> entries;
        std::set<std::string> seen;
        std::uint64_t at = dir.at, total = 0;
        const std::uint64_t end = dir.at + dir.size;
        for (std::uint64_t i = 0; i < dir.count; ++i) {
            if (!fits(at, kCentralSize, end))
                bad(fmt::format("its directory ends inside entry {} of {}.", i + 1, dir.count));
            if (u32(bytes_, at) != kCentral)
                bad(fmt::format("entry {} of its directory has no signature (offset {}).", i + 1, at));
            Entry entry;
            at = read_entry(at, end, entry);
            check_names(entry, seen);
            const auto sum = checked_add(total, entry.size);
            if (!sum || *sum > limits_.max_total)
                bad(fmt::format("it claims to unpack to more than {} bytes.", limits_.max_total));
            total = *sum;
            entries.push_back(std::move(entry));
        }
        if (at != end) bad(fmt::format("its directory has {} bytes that belong to no entry.", end - at));
        check_overlaps(entries, dir.at);
        return entries;
    }

 private:
    Directory read_end(std::size_t at) const {
        Directory dir;
        dir.count = u16(bytes_, at + 10);
        dir.size = u32(bytes_, at + 12);
        dir.at = u32(bytes_, at + 16);
        const std::uint64_t on_disk = u16(bytes_, at + 8);
        if (u16(bytes_, at + 4) != 0 || u16(bytes_, at + 6) != 0 || on_disk != dir.count)
            bad("it is one part of a ZIP archive over several disks, which is not read here.");
        std::size_t directory_end = at;
        if (dir.count == 0xffff || dir.size == 0xffffffff || dir.at == 0xffffffff) {
            if (at < 20 || u32(bytes_, at - 20) != kLocator64) bad("its ZIP64 end record is missing.");
            const std::uint64_t at64 = u64(bytes_, at - 20 + 8);
            if (!fits(at64, 56, at - 20) || u32(bytes_, at64) != kEnd64)
                bad("its ZIP64 end record is not where it should be.");
            dir.count = u64(bytes_, at64 + 32);
            dir.size = u64(bytes_, at64 + 40);
            dir.at = u64(bytes_, at64 + 48);
            directory_end = at64;
        }
        if (!fits(dir.at, dir.size, directory_end))
            bad(fmt::format("its directory (offset {}, {} bytes) lies outside the file.", dir.at, dir.size));
        if (dir.count > limits_.max_entries || dir.count > dir.size / kCentralSize)
            bad(fmt::format("it claims {} entries in a directory of {} bytes.", dir.count, dir.size));
        return dir;
    }

    std::uint64_t read_entry(std::uint64_t at, std::uint64_t end, Entry& entry) const {
        const std::uint16_t flags = u16(bytes_, at + 8);
        entry.method = u16(bytes_, at + 10);
        entry.crc = u32(bytes_, at + 16);
        entry.packed = u32(bytes_, at + 20);
        entry.size = u32(bytes_, at + 24);
        const std::size_t n_name = u16(bytes_, at + 28), n_extra = u16(bytes_, at + 30),
                          n_comment = u16(bytes_, at + 32);
        const std::uint32_t attributes = u32(bytes_, at + 38);
        entry.header_at = u32(bytes_, at + 42);
        if (!fits(at + kCentralSize, n_name + n_extra + n_comment, end))
            bad("an entry of its directory ends outside of it.");
        const Bytes name = bytes_.subspan(at + kCentralSize, n_name);
        entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
        read_extra(bytes_.subspan(at + kCentralSize + n_name, n_extra), entry);
        const std::string shown = printable(entry.name);
        if ((flags & 0x2041) != 0) bad(fmt::format("the entry \"{}\" is encrypted.", shown));
        if (entry.method != 0 && entry.method != 8)
            throw Error(ErrorKind::unsupported,
                        fmt::format("{}: the entry \"{}\" is packed by method {}; only stored and deflated "
                                    "entries are read.",
                                    what_, shown, entry.method));
        // Unix modes in the upper half; S_IFLNK and the other special kinds have no business in a wheel.
        const std::uint32_t kind = (attributes >> 16) & 0170000;
        if (kind == 0120000) bad(fmt::format("the entry \"{}\" is a symbolic link; it could point anywhere.", shown));
        if (kind != 0 && kind != 0100000 && kind != 0040000)
            bad(fmt::format("the entry \"{}\" is no regular file.", shown));
        if (entry.method == 0 && entry.size != entry.packed)
            bad(fmt::format("the stored entry \"{}\" has two sizes, {} and {}.", shown, entry.packed, entry.size));
        if (entry.size > 0 && (entry.packed == 0 || entry.size / entry.packed > limits_.max_ratio))
            bad(fmt::format("the entry \"{}\" claims to unpack {} bytes to {}, more than the format can; it is a bomb.",
                            shown, entry.packed, entry.size));
        return at + kCentralSize + n_name + n_extra + n_comment;
    }

    // ZIP64 sizes, present for exactly those fields that are all ones.
    void read_extra(Bytes extra, Entry& entry) const {
        for (std::size_t at = 0; at + 4 <= extra.size();) {
            const std::uint16_t id = u16(extra, at);
            const std::size_t length = u16(extra, at + 2);
            if (!fits(at + 4, length, extra.size()))
                bad(fmt::format("an extra field of \"{}\" is cut off.", printable(entry.name)));
            if (id == 1) {
                Bytes field = extra.subspan(at + 4, length);
                for (std::uint64_t* value : {&entry.size, &entry.packed, &entry.header_at}) {
                    if (*value != 0xffffffff) continue;
                    if (field.size() < 8)
                        bad(fmt::format("the ZIP64 sizes of \"{}\" are cut off.", printable(entry.name)));
                    *value = u64(field, 0);
                    field = field.subspan(8);
                }
            }
            at += 4 + length;
        }
    }

    void check_names(Entry& entry, std::set<std::string>& seen) const {
        std::string name = entry.name;
        if (name.ends_with('/')) {
            entry.folder = true;
            name.pop_back();
            if (entry.size != 0) bad(fmt::format("the folder \"{}\" has content.", printable(name)));
        }
        const std::string fault = layout::path_fault(name);
        if (!fault.empty()) {
            bad(fmt::format("the entry name \"{}\" is refused: {}.", printable(name), fault));
        }
        if (!seen.insert(name).second) bad(fmt::format("the entry \"{}\" comes twice.", printable(name)));
    }

    // Overlapping entries are how small archives unpack to huge ones without any ratio that stands out.
    void check_overlaps(const std::vector<Entry>& entries, std::uint64_t directory_at) const {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> spans;
        for (const Entry& entry : entries) {
            const auto length = checked_add(entry.packed, kLocalSize);
            if (!length || !fits(entry.header_at, *length, directory_at))
                bad(fmt::format("the entry \"{}\" (offset {}, {} bytes) lies outside the file.", printable(entry.name),
                                entry.header_at, entry.packed));
            spans.emplace_back(entry.header_at, entry.header_at + *length);
        }
        std::sort(spans.begin(), spans.end());
        for (std::size_t i = 1; i < spans.size(); ++i) {
            if (spans[i].first < spans[i - 1].second)
                bad(fmt::format("two of its entries overlap at offset {}.", spans[i].first));
        }
    }

    Bytes bytes_;
    const std::string& what_;
    const Limits& limits_;
};

// zlib's inflate on raw deflate data, closed whatever happens.
class Inflater {
 public:
    Inflater() { good_ = inflateInit2(&stream_, -MAX_WBITS) == Z_OK; }
    ~Inflater() {
        if (good_) inflateEnd(&stream_);
    }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    [[nodiscard]] bool good() const noexcept { return good_; }
    z_stream& stream() noexcept { return stream_; }

 private:
    z_stream stream_{};
    bool good_ = false;
};

}  // namespace

Archive::Archive(std::span<const std::byte> bytes, std::string what, const Limits& limits)
    : bytes_(bytes), what_(std::move(what)) {
    const Parser parser(bytes_, what_, limits);
    const Directory dir = parser.find_directory();
    directory_at_ = dir.at;
    entries_ = parser.read_entries(dir);
}

const Entry* Archive::find(std::string_view name) const noexcept {
    const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; });
    return it == entries_.end() ? nullptr : &*it;
}

std::span<const std::byte> Archive::packed_bytes(const Entry& entry) const {
    const Limits none;
    const Parser parser(bytes_, what_, none);
    if (!fits(entry.header_at, kLocalSize, directory_at_) || u32(bytes_, entry.header_at) != kLocal)
        parser.bad(fmt::format("the entry \"{}\" has no header at offset {}.", entry.name, entry.header_at));
    const std::uint64_t n_name = u16(bytes_, entry.header_at + 26), n_extra = u16(bytes_, entry.header_at + 28);
    const std::uint64_t data_at = entry.header_at + kLocalSize + n_name + n_extra;
    if (!fits(data_at, entry.packed, directory_at_))
        parser.bad(fmt::format("the data of \"{}\" reaches past the end.", entry.name));
    const Bytes name = bytes_.subspan(entry.header_at + kLocalSize, n_name);
    if (std::string_view(reinterpret_cast<const char*>(name.data()), name.size()) != entry.name)
        parser.bad(fmt::format("the entry \"{}\" has another name in its own header.", entry.name));
    if (u16(bytes_, entry.header_at + 8) != entry.method)
        parser.bad(fmt::format("the entry \"{}\" is packed differently in its own header.", entry.name));
    return bytes_.subspan(data_at, entry.packed);
}

void Archive::read(const Entry& entry, const std::function<void(std::span<const std::byte>)>& sink) const {
    const Limits none;
    const Parser parser(bytes_, what_, none);
    Bytes packed = packed_bytes(entry);
    std::uint64_t written = 0;
    uLong crc = ::crc32(0, nullptr, 0);
    const auto emit = [&](Bytes piece) {
        if (piece.size() > entry.size - written)
            parser.bad(fmt::format("the entry \"{}\" unpacks to more than the {} bytes that it claims; it is a bomb.",
                                   entry.name, entry.size));
        written += piece.size();
        crc = ::crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()), piece.size());
        sink(piece);
    };
    if (entry.method == 0) {
        for (; !packed.empty(); packed = packed.subspan(std::min<std::size_t>(packed.size(), 1 << 20)))
            emit(packed.first(std::min<std::size_t>(packed.size(), 1 << 20)));
    } else {
        Inflater inflater;
        if (!inflater.good()) throw Error(ErrorKind::out_of_memory, "zlib could not start for lack of memory.");
        z_stream& z = inflater.stream();
        std::vector<std::byte> out(1 << 18);
        int rc = Z_OK;
        while (rc != Z_STREAM_END) {
            if (z.avail_in == 0) {
                const std::size_t n = std::min<std::size_t>(packed.size(), 1 << 20);
                z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
                z.avail_in = static_cast<uInt>(n);
                packed = packed.subspan(n);
            }
            z.next_out = reinterpret_cast<Bytef*>(out.data());
            z.avail_out = static_cast<uInt>(out.size());
            rc = ::inflate(&z, Z_NO_FLUSH);
            if (rc != Z_OK && rc != Z_STREAM_END)
                parser.bad(fmt::format("the entry \"{}\" cannot be unpacked after {} bytes ({}).", entry.name, written,
                                       z.msg != nullptr ? z.msg : "its data end too early"));
            emit(Bytes(out).first(out.size() - z.avail_out));
        }
        if (z.avail_in != 0 || !packed.empty())
            parser.bad(fmt::format("the entry \"{}\" has data after its end.", entry.name));
    }
    if (written != entry.size)
        parser.bad(fmt::format("the entry \"{}\" unpacks to {} bytes, not to {}.", entry.name, written, entry.size));
    if (crc != entry.crc) parser.bad(fmt::format("the checksum of the entry \"{}\" does not fit.", entry.name));
}

std::string Archive::read_text(const Entry& entry, std::uint64_t max_bytes) const {
    if (entry.size > max_bytes)
        throw Error(ErrorKind::limit, fmt::format("{}: the entry \"{}\" has {} bytes; {} is the most for it.", what_,
                                                  entry.name, entry.size, max_bytes));
    std::string out;
    read(entry, [&](std::span<const std::byte> piece) {
        out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    });
    return out;
}

}  // namespace freehold::zip
