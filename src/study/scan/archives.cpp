// tar, 7z, rar, cpio, ar, cab and compressed files, by libarchive. Only filters that are part of the library are
// switched on: some others would start a program.
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "freehold/base/printable.h"
#include "readers.h"

namespace freehold::scan {
namespace {

struct Close {
    void operator()(archive* a) const noexcept { archive_read_free(a); }
};
using Reader = std::unique_ptr<archive, Close>;

Reader open_reader(Bytes bytes) {
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
    archive_read_support_format_tar(a);
    archive_read_support_format_7zip(a);
    archive_read_support_format_rar(a);
    archive_read_support_format_rar5(a);
    archive_read_support_format_cpio(a);
    archive_read_support_format_ar(a);
    archive_read_support_format_cab(a);
    archive_read_support_format_raw(a);
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

}  // namespace

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
    return text.size() >= 512 && text.substr(257, 5) == "ustar";
}

void scan_archive(Context& context, const Content& content) {
    const Reader reader = open_reader(content.bytes);
    if (!reader) return context.gap(content, "it looks like an archive and cannot be opened");
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
            break;
        }
        const bool raw = archive_format(a) == ARCHIVE_FORMAT_RAW;
        if (first) context.kind(raw ? "compressed file" : "archive");
        if (!context.take_member(content)) return;
        const char* path = archive_entry_pathname(entry);
        std::string name = path == nullptr ? "unnamed" : path;
        if (raw) name = content.name.substr(0, content.name.rfind('.'));
        if (!raw) {
            check_member_name(context, content, name);
            check_links(context, content, entry, name);
            if (archive_entry_filetype(entry) == AE_IFREG && !seen.insert(name).second)
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
        static_cast<void>(read_member(context, content, a, name, bytes));
        if (!context.take_unpacked(content, std::min<std::uint64_t>(bytes.size(), context.unpacked_left()))) return;
        context.descend(content, bytes_of(bytes), raw ? "unpacked" : std::string_view(name), name);
        if (context.unpacked_left() == 0) return context.gap(content, "the bound on unpacked bytes was reached");
    }
}

}  // namespace freehold::scan
