// tar, 7z, rar, cpio, ar, cab and compressed files, by libarchive. Only filters that are part of the library are
// switched on: some others would start a program.
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <string>

#include "freehold/base/printable.h"
#include "readers.h"
#include "sweep.h"

namespace freehold::scan {
namespace {

struct Close {
    void operator()(archive* a) const noexcept { archive_read_free(a); }
};
using Reader = std::unique_ptr<archive, Close>;

// `raw`: only what is compressed is undone, whatever kind of archive it holds.
Reader open_reader(Bytes bytes, bool raw) {
    Reader reader(archive_read_new());
    archive* a = reader.get();
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_lzma(a);
    archive_read_support_filter_lzip(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_lz4(a);
    archive_read_support_filter_compress(a);
    archive_read_support_format_raw(a);
    if (raw) return archive_read_open_memory(a, bytes.data(), bytes.size()) == ARCHIVE_OK ? std::move(reader) : nullptr;
    archive_read_support_format_tar(a);
    archive_read_support_format_7zip(a);
    archive_read_support_format_rar(a);
    archive_read_support_format_rar5(a);
    archive_read_support_format_cpio(a);
    archive_read_support_format_ar(a);
    archive_read_support_format_cab(a);
    if (archive_read_open_memory(a, bytes.data(), bytes.size()) != ARCHIVE_OK) return nullptr;
    return reader;
}

// True: whole.
bool read_member(Context& context, const Content& content, archive* a, std::string_view name, std::string& out) {
    const std::uint64_t most = std::min(context.limits().member, context.unpacked_left());
    std::string piece(1 << 18, '\0');
    for (;;) {
        const la_ssize_t n = archive_read_data(a, piece.data(), piece.size());
        if (n == 0) return true;
        if (n < 0) {
            const char* why = archive_error_string(a);
            context.gap(content, fmt::format("\"{}\" cannot be unpacked: {}", printable(name),
                                             why == nullptr ? "unknown" : printable(why)));
            return false;
        }
        out.append(piece, 0, static_cast<std::size_t>(n));
        if (out.size() <= most) continue;
        context.gap(content, fmt::format("\"{}\" unpacks to more than {} bytes; the beginning was looked at",
                                         printable(name), most));
        if (out.size() / static_cast<std::size_t>(std::max<la_int64_t>(archive_filter_bytes(a, -1), 1)) > 100)
            context.find(
                "archive.bomb", content, {},
                fmt::format("\"{}\" unpacks {} bytes to more than {}.", printable(name), content.bytes.size(), most));
        return false;
    }
}

void check_links(Context& context, const Content& content, archive_entry* entry, std::string_view name) {
    if (const char* target = archive_entry_symlink(entry)) check_member_link(context, content, name, target);
    if (const char* target = archive_entry_hardlink(entry)) check_member_name(context, content, target);
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFIFO)
        context.find("archive.link", content, {},
                     fmt::format("Its member \"{}\" is a device or a pipe.", printable(name)));
}

// Before POSIX a tar file had no mark but the sum of its header.
bool is_old_tar(std::string_view text) noexcept {
    if (text[0] == '\0' || text[156] < '\0' || text[156] > '7') return false;
    std::uint64_t told = 0, sum = 0;
    bool digits = false;
    for (std::size_t i = 148; i < 156; ++i) {
        const char c = text[i];
        if (c >= '0' && c <= '7') {
            told = told * 8 + static_cast<std::uint64_t>(c - '0');
            digits = true;
        } else if (c != ' ' && c != '\0') {
            return false;
        }
    }
    for (std::size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(text[i]);
    return digits && sum == told;
}

}  // namespace

bool unpack_member(Context& context, const Content& content, Bytes packed, const PackedMember& how, std::string& out) {
    constexpr std::uint64_t kLargest = 0xfffffffe;
    if (packed.size() > std::min(kLargest, context.limits().member) || how.size > kLargest) return false;
    // An archive of this one member, for a reader that knows more methods.
    const auto little = [](std::uint64_t value, int width) {
        std::string bytes;
        for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
        return bytes;
    };
    constexpr unsigned kEndMark = 2;  // of LZMA
    std::string archive = "PK\x03\x04" + little(63, 2) + little(how.flags & kEndMark, 2) + little(how.method, 2) +
                          little(0, 4) + little(how.crc, 4) + little(packed.size(), 4) + little(how.size, 4) +
                          little(1, 2) + little(0, 2) + "m";
    archive.append(text_of(packed));
    const Reader reader(archive_read_new());
    archive_read_support_format_zip_streamable(reader.get());
    archive_entry* entry = nullptr;
    if (archive_read_open_memory(reader.get(), archive.data(), archive.size()) != ARCHIVE_OK ||
        archive_read_next_header(reader.get(), &entry) < ARCHIVE_WARN)
        return false;
    return read_member(context, content, reader.get(), content.name, out);
}

bool is_archive(Bytes bytes) noexcept {
    const std::string_view text = text_of(bytes);
    for (const std::string_view magic :
         {std::string_view("\x1f\x8b"), std::string_view("BZh"),
          std::string_view("\xfd"
                           "7zXZ\0",
                           6),
          std::string_view("7z\xbc\xaf\x27\x1c"), std::string_view("Rar!\x1a\x07"),
          std::string_view("\x28\xb5\x2f\xfd"), std::string_view("\x04\x22\x4d\x18"), std::string_view("LZIP"),
          std::string_view("!<arch>\n"), std::string_view("MSCF\0\0\0\0", 8), std::string_view("070701"),
          std::string_view("070707"), std::string_view("\x1f\x9d"), std::string_view("\x5d\0\0\x80\0", 5),
          std::string_view("\x5d\0\0\0\x04", 5)})
        if (text.starts_with(magic)) return true;
    return text.size() >= 512 && (text.substr(257, 5) == "ustar" || is_old_tar(text));
}

namespace {

// Some kinds are read from their end, which does not work through a filter: they are unpacked first.
bool holds_whole_archive(Bytes bytes) {
    const Reader reader = open_reader(bytes, true);
    archive_entry* entry = nullptr;
    if (!reader || archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) return false;
    if (archive_filter_count(reader.get()) < 2) return false;
    std::array<char, 8> head{};
    const la_ssize_t n = archive_read_data(reader.get(), head.data(), head.size());
    const std::string_view text(head.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    return text.starts_with("7z\xbc\xaf\x27\x1c") || text.starts_with("Rar!") || text.starts_with("PK\x03\x04") ||
           text.starts_with("MSCF");
}

// An xz file with something behind it is refused as a whole: here it ends where its own footer does.
Bytes trimmed_xz(Bytes bytes) {
    const std::string_view text = text_of(bytes);
    if (!text.starts_with("\xfd"
                          "7zXZ") ||
        open_reader(bytes, true))
        return bytes;
    int tries = 0;
    for (std::size_t at = text.find("YZ"); at != std::string_view::npos && tries < 64; at = text.find("YZ", at + 1)) {
        if ((at + 2) % 4 != 0) continue;
        ++tries;
        if (open_reader(bytes.first(at + 2), true)) return bytes.first(at + 2);
    }
    return bytes;
}

// False: not all of it could be read.
bool unpack_all(Context& context, const Content& content) {
    const Reader reader = open_reader(content.bytes, holds_whole_archive(content.bytes));
    if (!reader) {
        context.gap(content, "it looks like an archive and cannot be opened");
        return false;
    }
    bool all = true;
    archive* a = reader.get();
    std::set<std::string> seen;
    for (bool first = true;; first = false) {
        archive_entry* entry = nullptr;
        const int code = archive_read_next_header(a, &entry);
        if (code == ARCHIVE_EOF) break;
        const char* why = archive_error_string(a);
        if (code < ARCHIVE_WARN) {
            context.gap(content,
                        fmt::format("it cannot be read to its end: {}", why == nullptr ? "unknown" : printable(why)));
            return false;
        }
        const bool raw = archive_format(a) == ARCHIVE_FORMAT_RAW;
        const bool is_ar = (archive_format(a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_AR;
        if (first) context.kind(raw ? "compressed file" : "archive");
        if (!context.take_member(content)) return true;
        const char* path = archive_entry_pathname(entry);
        std::string name = path == nullptr ? "unnamed" : path;
        if (raw) name = content.name.substr(0, content.name.rfind('.'));
        if (!raw) {
            // Libraries of compiled objects (ar) keep their tables of symbols and names under these.
            const bool table = is_ar && (name == "/" || name == "//" || name == "/SYM64/");
            if (!table) check_member_name(context, content, name);
            check_links(context, content, entry, name);
            if (archive_entry_filetype(entry) == AE_IFREG && !is_ar && !seen.insert(name).second)
                context.find("archive.duplicate", content, {}, fmt::format("It holds \"{}\" twice.", printable(name)));
        }
        if (archive_entry_is_encrypted(entry) != 0) {
            context.gap(content, fmt::format("\"{}\" is encrypted", printable(name)));
            continue;
        }
        // A 7z archive need not say what kind of member it is: 0.
        const auto type = archive_entry_filetype(entry);
        if (!raw && type != AE_IFREG && type != 0) continue;
        std::string bytes;
        all = read_member(context, content, a, name, bytes) && all;
        if (!context.take_unpacked(content, std::min<std::uint64_t>(bytes.size(), context.unpacked_left())))
            return true;
        context.descend(content, bytes_of(bytes), raw ? "unpacked" : std::string_view(name), name);
        if (context.unpacked_left() == 0) {
            context.gap(content, "the bound on unpacked bytes was reached");
            return true;
        }
    }
    return all;
}

}  // namespace

void scan_archive(Context& context, const Content& content) {
    Content whole = content;
    whole.bytes = trimmed_xz(content.bytes);
    const bool all = unpack_all(context, whole);
    if (whole.bytes.size() < content.bytes.size()) search_pickles(context, content, whole.bytes.size());
    if (all) return;
    // Where the reader here stops, another may go on: what is not packed can be searched all the same.
    sweep(context, content, 0);
}

void check_member_name(Context& context, const Content& archive, std::string_view name) {
    std::string path(name);
    std::ranges::replace(path, '\\', '/');
    const bool drive = path.size() > 1 && path[1] == ':';
    bool climbs = path.starts_with('/') || drive;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        climbs = climbs || path.substr(at, end - at) == "..";
        at = end + 1;
    }
    if (climbs)
        context.find("archive.traversal", archive, {},
                     fmt::format("Its member \"{}\" would be written outside the folder.", printable(name)));
    if (path.find('\0') != std::string::npos)
        context.find(
            "archive.mismatch", archive, {},
            fmt::format("The name of its member \"{}\" holds a zero byte, where some readers stop.", printable(name)));
}

void check_member_link(Context& context, const Content& archive, std::string_view name, std::string_view target) {
    int depth = static_cast<int>(std::ranges::count(name, '/'));
    bool out = target.starts_with('/') || target.starts_with('\\');
    for (std::size_t at = 0; at <= target.size() && !out;) {
        const std::size_t end = std::min(target.find('/', at), target.size());
        const std::string_view part = target.substr(at, end - at);
        if (part == "..")
            out = --depth < 0;
        else if (!part.empty() && part != ".")
            ++depth;
        at = end + 1;
    }
    if (out)
        context.find("archive.link", archive, {},
                     fmt::format("Its link \"{}\" points to \"{}\".", printable(name), printable(target)));
}

}  // namespace freehold::scan
