// ZIP as its lenient readers see it: by the directory and by the headers between the members, both, since Python, torch
// and unpackers believe different ones. Nothing is refused for being odd; what is odd is told, and read all the same.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "freehold/base/checked.h"
#include "freehold/base/printable.h"
#include "pickle.h"
#include "readers.h"

namespace freehold::scan {
namespace {

constexpr std::string_view kLocal = "PK\x03\x04", kCentral = "PK\x01\x02", kEnd = "PK\x05\x06", kEnd64 = "PK\x06\x06",
                           kLocator = "PK\x06\x07";

std::uint64_t number(std::string_view b, std::uint64_t at, int width) {
    std::uint64_t out = 0;
    for (int i = width - 1; i >= 0; --i)
        out = out << 8 | static_cast<unsigned char>(b[at + static_cast<std::uint64_t>(i)]);
    return out;
}

struct Member {
    std::string name;
    std::uint64_t header_at = 0, data_at = 0, packed = 0, size = 0;
    std::uint32_t crc = 0;
    unsigned flags = 0, method = 0, mode = 0;
    bool listed = true;  // in the directory
};

struct Directory {
    std::uint64_t at = 0, size = 0, count = 0, end = 0;
    std::uint64_t shift = 0;  // bytes before the archive proper
};

std::optional<Directory> find_directory(std::string_view b) {
    const std::size_t lowest = b.size() - std::min<std::size_t>(b.size(), 65557);
    // Only the tail is looked at: a search backwards through a large file defeats the system's reading ahead.
    const std::string_view tail = b.substr(lowest);
    for (std::size_t hit = tail.rfind(kEnd); hit != std::string_view::npos;
         hit = hit == 0 ? std::string_view::npos : tail.rfind(kEnd, hit - 1)) {
        const std::size_t at = lowest + hit;
        if (at + 22 > b.size()) continue;
        Directory dir;
        dir.count = number(b, at + 10, 2);
        dir.size = number(b, at + 12, 4);
        dir.at = number(b, at + 16, 4);
        dir.end = at;
        if (at >= 20 && b.substr(at - 20, 4) == kLocator) {
            std::uint64_t at64 = number(b, at - 12, 8);
            if (!fits(at64, 56, b.size()) || b.substr(at64, 4) != kEnd64) at64 = at >= 76 ? at - 76 : 0;
            if (fits(at64, 56, b.size()) && b.substr(at64, 4) == kEnd64) {
                dir.count = number(b, at64 + 32, 8);
                dir.size = number(b, at64 + 40, 8);
                dir.at = number(b, at64 + 48, 8);
                dir.end = at64;
            }
        }
        if (dir.size > dir.end) continue;
        const std::uint64_t begins = dir.end - dir.size;
        if (dir.count > 0 && b.substr(begins, 4) != kCentral) {
            if (!fits(dir.at, 46, b.size()) || b.substr(dir.at, 4) != kCentral) continue;
            return dir;  // its size lies, its place does not
        }
        dir.shift = begins >= dir.at ? begins - dir.at : 0;
        dir.at = begins;
        return dir;
    }
    return std::nullopt;
}

class Walk {
 public:
    Walk(Context& context, const Content& content) : context_(context), content_(content), b_(text_of(content.bytes)) {}

    void run() {
        const auto dir = find_directory(b_);
        if (dir)
            read_directory(*dir);
        else
            odd("it has no directory; it is truncated");
        check_listed();
        find_unlisted(dir ? dir->at : b_.size());
        name_kind();
        for (const Member& member : members_) {
            if (!context_.take_member(content_)) return;
            look(member);
        }
        if (!others_.empty())
            context_.gap(content_, fmt::format("{} of its members are packed in a way that is not read here ({})",
                                               others_.size(), printable(*others_.begin())));
        // Before the first member and behind the directory there is room for more.
        if (first_ > 0 && first_ <= b_.size()) {
            Content before = content_;
            before.bytes = content_.bytes.first(first_);
            search_pickles(context_, before, 0);
        }
        if (dir && dir->end < b_.size()) search_pickles(context_, content_, dir->end);
    }

 private:
    void odd(const std::string& message) {
        context_.find("archive.mismatch", content_, {}, fmt::format("In this archive {}.", message));
    }

    void read_directory(const Directory& dir) {
        std::uint64_t at = dir.at;
        while (members_.size() < context_.limits().members && fits(at, 46, b_.size()) && b_.substr(at, 4) == kCentral) {
            Member m;
            m.flags = static_cast<unsigned>(number(b_, at + 8, 2));
            m.method = static_cast<unsigned>(number(b_, at + 10, 2));
            m.crc = static_cast<std::uint32_t>(number(b_, at + 16, 4));
            m.packed = number(b_, at + 20, 4);
            m.size = number(b_, at + 24, 4);
            const std::uint64_t n_name = number(b_, at + 28, 2), n_extra = number(b_, at + 30, 2),
                                n_comment = number(b_, at + 32, 2);
            m.mode = static_cast<unsigned>(number(b_, at + 38, 4) >> 16);
            m.header_at = number(b_, at + 42, 4);
            if (!fits(at + 46, n_name + n_extra + n_comment, b_.size())) return odd("the directory is cut off");
            m.name = std::string(b_.substr(at + 46, n_name));
            read_extra(b_.substr(at + 46 + n_name, n_extra), m);
            const auto shifted = checked_add(m.header_at, dir.shift);
            m.header_at = shifted.value_or(b_.size());
            at += 46 + n_name + n_extra + n_comment;
            members_.push_back(std::move(m));
        }
        if (members_.size() != dir.count)
            odd(fmt::format("the directory counts {} members and lists {}", dir.count, members_.size()));
    }

    static void read_extra(std::string_view extra, Member& m) {
        for (std::size_t at = 0; at + 4 <= extra.size();) {
            const std::uint64_t id = number(extra, at, 2), length = number(extra, at + 2, 2);
            if (!fits(at + 4, length, extra.size())) return;
            if (id == 1) {
                std::string_view field = extra.substr(at + 4, length);
                for (std::uint64_t* value : {&m.size, &m.packed, &m.header_at}) {
                    if (*value != 0xffffffff || field.size() < 8) continue;
                    *value = number(field, 0, 8);
                    field.remove_prefix(8);
                }
            }
            at += 4 + length;
        }
    }

    // The member's own header, against the directory.
    void check_listed() {
        std::set<std::string> seen;
        for (Member& m : members_) {
            const std::string shown = printable(m.name);
            if (!seen.insert(m.name).second)
                context_.find("archive.duplicate", content_, {},
                              fmt::format("Its directory lists \"{}\" twice.", shown));
            check_member_name(context_, content_, m.name);
            if (!fits(m.header_at, 30, b_.size()) || b_.substr(m.header_at, 4) != kLocal) {
                odd(fmt::format("the member \"{}\" is not where the directory says", shown));
                m.data_at = b_.size();
                continue;
            }
            const std::uint64_t n_name = number(b_, m.header_at + 26, 2), n_extra = number(b_, m.header_at + 28, 2);
            m.data_at = m.header_at + 30 + n_name + n_extra;
            const std::string_view own = b_.substr(std::min<std::uint64_t>(m.header_at + 30, b_.size()), n_name);
            if (own != m.name) odd(fmt::format("the member \"{}\" calls itself \"{}\"", shown, printable(own)));
            if (number(b_, m.header_at + 8, 2) != m.method)
                odd(fmt::format("the member \"{}\" is packed in another way than the directory says", shown));
            if ((number(b_, m.header_at + 6, 2) & 1U) != (m.flags & 1U))
                odd(fmt::format("only one of directory and member says that \"{}\" is encrypted", shown));
            if (!fits(m.data_at, m.packed, b_.size())) {
                odd(fmt::format("the member \"{}\" goes past the end", shown));
                m.packed = m.data_at < b_.size() ? b_.size() - m.data_at : 0;
            }
        }
    }

    // Members with a header of their own that no directory lists: unpackers that read from the front see them.
    void find_unlisted(std::uint64_t until) {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> covered;
        for (const Member& m : members_)
            if (m.data_at < b_.size()) covered.emplace_back(m.header_at, m.data_at + m.packed);
        std::ranges::sort(covered);
        for (std::size_t i = 1; i < covered.size(); ++i)
            if (covered[i].first < covered[i - 1].second && covered[i].first != covered[i - 1].first)
                context_.find("archive.bomb", content_, at_offset(covered[i].first),
                              "Its members overlap, so that a small archive unpacks to a large one.");
        first_ = covered.empty() ? b_.size() : covered.front().first;
        std::uint64_t at = 0;
        std::size_t next = 0;
        while (at < until) {
            const std::uint64_t gap_end = next < covered.size() ? std::min(covered[next].first, until) : until;
            if (at < gap_end) {
                for (std::size_t hit = b_.substr(0, gap_end).find(kLocal, at); hit != std::string_view::npos;
                     hit = b_.substr(0, gap_end).find(kLocal, hit + 4)) {
                    if (members_.size() >= context_.limits().members || !add_unlisted(hit, gap_end)) continue;
                    first_ = std::min<std::uint64_t>(first_, hit);
                }
            }
            if (next >= covered.size()) break;
            at = std::max(at, covered[next++].second);
        }
    }

    bool add_unlisted(std::uint64_t at, std::uint64_t until) {
        if (!fits(at, 30, until)) return false;
        Member m;
        m.listed = false;
        m.header_at = at;
        m.flags = static_cast<unsigned>(number(b_, at + 6, 2));
        m.method = static_cast<unsigned>(number(b_, at + 8, 2));
        m.crc = static_cast<std::uint32_t>(number(b_, at + 14, 4));
        m.packed = number(b_, at + 18, 4);
        m.size = number(b_, at + 22, 4);
        const std::uint64_t n_name = number(b_, at + 26, 2), n_extra = number(b_, at + 28, 2);
        m.data_at = at + 30 + n_name + n_extra;
        if (m.data_at > until) return false;
        m.name = std::string(b_.substr(at + 30, n_name));
        if (m.packed == 0 || !fits(m.data_at, m.packed, until)) m.packed = until - m.data_at;
        odd(fmt::format("the member \"{}\" at offset {} is not in the directory", printable(m.name), at));
        members_.push_back(std::move(m));
        return true;
    }

    void name_kind() {
        bool data_pkl = false, constants = false, arrays = !members_.empty(), keras_config = false,
             keras_weights = false;
        for (const Member& m : members_) {
            const std::string leaf = leaf_of(m.name);
            data_pkl = data_pkl || leaf == "data.pkl";
            constants = constants || leaf == "constants.pkl";
            arrays = arrays && m.name.ends_with(".npy");
            keras_config = keras_config || m.name == "config.json";
            keras_weights = keras_weights || leaf == "model.weights.h5";
        }
        torchscript_ = data_pkl && constants;
        if (content_.depth == 0)
            context_.kind(torchscript_                    ? "TorchScript archive"
                          : data_pkl                      ? "torch archive"
                          : arrays                        ? "NumPy archive"
                          : keras_config && keras_weights ? "Keras archive"
                                                          : "ZIP archive");
    }

    void look(const Member& m) {
        if (m.name.ends_with('/') && m.size == 0) return;
        if (m.data_at >= b_.size() || !fits(m.data_at, m.packed, b_.size())) return;
        const Bytes packed = content_.bytes.subspan(m.data_at, m.packed);
        Content inner = content_;
        inner.name = m.name;
        inner.member = content_.member + (content_.member.empty() ? "" : "!") + printable(m.name);
        inner.torchscript = torchscript_;
        ++inner.depth;
        std::string unpacked;
        Bytes bytes = packed;
        bool whole = true;
        if (m.method == 8) {
            whole = inflate(inner, packed, m, unpacked);
            bytes = bytes_of(unpacked);
        } else if (m.method != 0) {
            if (m.method == 99 || (m.flags & 1U) != 0)
                context_.gap(inner, "it is encrypted");
            else
                others_.insert(m.name);
            return;
        }
        const bool sum = m.listed && ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) == m.crc;
        if ((m.flags & 1U) != 0) {
            if (!sum) {
                context_.gap(inner, "it is encrypted");
                return search_pickles(context_, with(inner, bytes), 0);
            }
            odd(fmt::format("the member \"{}\" is said to be encrypted and is not", printable(m.name)));
        } else if (m.listed && whole && (!sum || bytes.size() != m.size)) {
            odd(fmt::format("the member \"{}\" has another {} than the directory says", printable(m.name),
                            bytes.size() != m.size ? "length" : "checksum"));
        }
        if ((m.mode & 0170000) == 0120000)
            return check_member_link(context_, content_, m.name,
                                     text_of(bytes.first(std::min<std::size_t>(bytes.size(), 4096))));
        if (inner.depth > context_.limits().depth)
            return context_.gap(inner, fmt::format("it lies more than {} levels deep", context_.limits().depth));
        // TorchScript's own code has the name of Python and is not run by it.
        if (torchscript_ && inner.name.ends_with(".py")) inner.name += ".torchscript";
        scan_content(context_, with(inner, bytes));
    }

    static Content with(Content content, Bytes bytes) {
        content.bytes = bytes;
        return content;
    }

    // False: it ended early; what came out is looked at all the same.
    bool inflate(const Content& inner, Bytes packed, const Member& m, std::string& out) {
        z_stream z{};
        if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return false;
        const std::uint64_t most = std::min(context_.limits().member, context_.unpacked_left());
        std::string piece(1 << 18, '\0');
        int code = Z_OK;
        bool over = false;
        while (code == Z_OK && !over) {
            if (z.avail_in == 0) {
                const std::size_t n = std::min<std::size_t>(packed.size(), 1U << 30);
                z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
                z.avail_in = static_cast<uInt>(n);
                packed = packed.subspan(n);
            }
            z.next_out = reinterpret_cast<Bytef*>(piece.data());
            z.avail_out = static_cast<uInt>(piece.size());
            code = ::inflate(&z, Z_NO_FLUSH);
            out.append(piece, 0, piece.size() - z.avail_out);
            over = out.size() > most;
        }
        const std::uint64_t consumed = z.total_in;
        inflateEnd(&z);
        static_cast<void>(context_.take_unpacked(inner, std::min<std::uint64_t>(out.size(), context_.unpacked_left())));
        if (over) {
            context_.gap(inner, fmt::format("it unpacks to more than {} bytes; the beginning was looked at", most));
            if (out.size() / std::max<std::uint64_t>(consumed, 1) > 100 || m.size < out.size())
                context_.find("archive.bomb", content_, at_offset(m.header_at),
                              fmt::format("The member \"{}\" of {} bytes unpacks to more than {}.", printable(m.name),
                                          m.packed, most));
            return false;
        }
        if (code != Z_STREAM_END && m.listed && (m.flags & 1U) == 0)
            odd(fmt::format("the member \"{}\" cannot be unpacked whole", printable(m.name)));
        return code == Z_STREAM_END;
    }

    Context& context_;
    const Content& content_;
    std::string_view b_;
    std::vector<Member> members_;
    std::set<std::string> others_;
    std::uint64_t first_ = 0;
    bool torchscript_ = false;
};

}  // namespace

bool has_zip_directory(Bytes bytes) noexcept {
    if (bytes.size() < 22 + 46) return false;
    const auto dir = find_directory(text_of(bytes));
    return dir && dir->count > 0;
}

void scan_zip(Context& context, const Content& content) {
    Walk(context, content).run();
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
