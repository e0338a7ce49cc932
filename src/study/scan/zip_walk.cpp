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
#include "parallel.h"
#include "pickle.h"
#include "readers.h"
#include "sweep.h"
#include "zip_directory.h"

namespace freehold::scan {
namespace {

struct Member {
    std::string name;
    std::uint64_t header_at = 0, data_at = 0, packed = 0, size = 0;
    std::uint32_t crc = 0;
    unsigned flags = 0, method = 0, mode = 0;
    bool listed = true;  // in the directory
};

class Walk {
 public:
    Walk(Context& context, const Content& content) : context_(context), content_(content), b_(text_of(content.bytes)) {}

    void run() {
        const auto dir = find_zip_directory(b_);
        if (dir)
            read_directory(*dir);
        else
            odd("it has no directory; it is truncated");
        check_listed();
        find_unlisted(dir ? dir->at : b_.size());
        members_.insert(members_.end(), twins_.begin(), twins_.end());
        name_kind();
        for (const Member& member : members_) {
            if (!context_.take_member(content_)) return;
            look(member);
        }
        if (!others_.empty())
            context_.gap(content_, fmt::format("{} of its members are packed in a way that cannot be read here ({})",
                                               others_.size(), printable(*others_.begin())));
        // In the directory (fields of its members, remarks), before the first member and behind the directory there is
        // room for more.
        if (dir) look_aside(dir->at, dir->end);
        if (first_ > 0 && first_ <= b_.size()) {
            Content before = content_;
            before.bytes = content_.bytes.first(first_);
            search_pickles(context_, before, 0);
        }
        if (dir && dir->end < b_.size()) search_pickles(context_, content_, dir->end);
        if (dir) search_encoded(context_, content_, dir->at);
    }

 private:
    void odd(const std::string& message) {
        context_.find("archive.mismatch", content_, {}, fmt::format("In this archive {}.", message));
    }

    void read_directory(const ZipDirectory& dir) {
        std::uint64_t at = dir.at;
        while (members_.size() < context_.limits().members && fits(at, 46, b_.size()) &&
               b_.substr(at, 4) == kZipCentral) {
            Member m;
            m.flags = static_cast<unsigned>(zip_number(b_, at + 8, 2));
            m.method = static_cast<unsigned>(zip_number(b_, at + 10, 2));
            m.crc = static_cast<std::uint32_t>(zip_number(b_, at + 16, 4));
            m.packed = zip_number(b_, at + 20, 4);
            m.size = zip_number(b_, at + 24, 4);
            const std::uint64_t n_name = zip_number(b_, at + 28, 2), n_extra = zip_number(b_, at + 30, 2),
                                n_comment = zip_number(b_, at + 32, 2);
            m.mode = static_cast<unsigned>(zip_number(b_, at + 38, 4) >> 16);
            m.header_at = zip_number(b_, at + 42, 4);
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
            const std::uint64_t id = zip_number(extra, at, 2), length = zip_number(extra, at + 2, 2);
            if (!fits(at + 4, length, extra.size())) return;
            if (id == 1) {
                std::string_view field = extra.substr(at + 4, length);
                for (std::uint64_t* value : {&m.size, &m.packed, &m.header_at}) {
                    if (*value != 0xffffffff || field.size() < 8) continue;
                    *value = zip_number(field, 0, 8);
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
            if (!fits(m.header_at, 30, b_.size()) || b_.substr(m.header_at, 4) != kZipLocal) {
                odd(fmt::format("the member \"{}\" is not where the directory says", shown));
                m.data_at = b_.size();
                continue;
            }
            const std::uint64_t n_name = zip_number(b_, m.header_at + 26, 2),
                                n_extra = zip_number(b_, m.header_at + 28, 2);
            m.data_at = m.header_at + 30 + n_name + n_extra;
            look_aside(m.data_at - std::min(n_extra, m.data_at), m.data_at);
            const std::string_view own = b_.substr(std::min<std::uint64_t>(m.header_at + 30, b_.size()), n_name);
            if (own != m.name) odd(fmt::format("the member \"{}\" calls itself \"{}\"", shown, printable(own)));
            if (zip_number(b_, m.header_at + 8, 2) != m.method)
                odd(fmt::format("the member \"{}\" is packed in another way than the directory says", shown));
            if ((zip_number(b_, m.header_at + 6, 2) & 1U) != (m.flags & 1U))
                odd(fmt::format("only one of directory and member says that \"{}\" is encrypted", shown));
            if (!fits(m.data_at, m.packed, b_.size())) {
                odd(fmt::format("the member \"{}\" goes past the end", shown));
                m.packed = m.data_at < b_.size() ? b_.size() - m.data_at : 0;
            }
            check_sizes(m);
        }
    }

    // A header that tells another length than the directory: who reads from the front sees another member.
    void check_sizes(const Member& m) {
        constexpr std::uint64_t kElsewhere = 0xffffffff;  // in a field of ZIP64, or behind the data
        const std::uint64_t packed = zip_number(b_, m.header_at + 18, 4), size = zip_number(b_, m.header_at + 22, 4);
        const bool later = (zip_number(b_, m.header_at + 6, 2) & 8U) != 0;
        const auto differs = [&](std::uint64_t own, std::uint64_t listed) {
            return own != kElsewhere && own != listed && !(later && own == 0);
        };
        if (!differs(packed, m.packed) && !differs(size, m.size)) return;
        odd(fmt::format("the member \"{}\" has another length than the directory says", printable(m.name)));
        Member own = m;
        own.listed = false;
        own.packed = packed;
        own.size = size;
        if (packed > 0 && packed != kElsewhere && fits(m.data_at, packed, b_.size())) twins_.push_back(std::move(own));
    }

    // Bytes of the archive that are no member's, such as extra fields, which any reader may use as it likes.
    void look_aside(std::uint64_t from, std::uint64_t until) {
        constexpr std::uint64_t kLeast = 24;  // an archive has times, owners and padding in fewer
        if (until > b_.size() || from > until || until - from <= kLeast) return;
        Content aside = content_;
        aside.bytes = content_.bytes.first(until);
        search_pickles(context_, aside, from);
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
        look_between(covered, until);
        first_ = covered.empty() ? b_.size() : covered.front().first;
        std::uint64_t at = 0;
        std::size_t next = 0;
        while (at < until) {
            const std::uint64_t gap_end = next < covered.size() ? std::min(covered[next].first, until) : until;
            if (at < gap_end) {
                for (std::size_t hit = b_.substr(0, gap_end).find(kZipLocal, at); hit != std::string_view::npos;
                     hit = b_.substr(0, gap_end).find(kZipLocal, hit + 4)) {
                    if (members_.size() < context_.limits().members) add_unlisted(hit, gap_end);
                }
            }
            if (next >= covered.size()) break;
            at = std::max(at, covered[next++].second);
        }
    }

    // What lies behind a member and before the next one is in nobody's directory. (A few bytes there tell the lengths.)
    void look_between(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& covered, std::uint64_t until) {
        constexpr std::uint64_t kLengths = 24;
        std::uint64_t end = 0;
        for (std::size_t i = 0; i < covered.size(); ++i) {
            end = std::max(end, covered[i].second);
            const std::uint64_t next = i + 1 < covered.size() ? covered[i + 1].first : until;
            if (next <= end + kLengths || next > b_.size()) continue;
            Content between = content_;
            between.bytes = content_.bytes.first(next);
            search_pickles(context_, between, end);
            // The directory may say that a packed member is empty, and its data follow all the same.
            for (const Member& m : members_) {
                if (m.header_at != covered[i].first || m.method == 0 || m.packed != 0) continue;
                odd(fmt::format("the member \"{}\" has more data than the directory says", printable(m.name)));
                twins_.push_back(m);
                twins_.back().listed = false;
                twins_.back().packed = next - m.data_at;
            }
        }
    }

    void add_unlisted(std::uint64_t at, std::uint64_t until) {
        if (!fits(at, 30, until)) return;
        Member m;
        m.listed = false;
        m.header_at = at;
        m.flags = static_cast<unsigned>(zip_number(b_, at + 6, 2));
        m.method = static_cast<unsigned>(zip_number(b_, at + 8, 2));
        m.crc = static_cast<std::uint32_t>(zip_number(b_, at + 14, 4));
        m.packed = zip_number(b_, at + 18, 4);
        m.size = zip_number(b_, at + 22, 4);
        const std::uint64_t n_name = zip_number(b_, at + 26, 2), n_extra = zip_number(b_, at + 28, 2);
        m.data_at = at + 30 + n_name + n_extra;
        if (m.data_at > until) return;
        m.name = std::string(b_.substr(at + 30, n_name));
        if (m.packed == 0 || !fits(m.data_at, m.packed, until)) m.packed = until - m.data_at;
        odd(fmt::format("the member \"{}\" at offset {} is not in the directory", printable(m.name), at));
        members_.push_back(std::move(m));
    }

    void name_kind() {
        bool data_pkl = false, arrays = !members_.empty(), keras_config = false, keras_weights = false;
        std::set<std::string> pickled_in, constants_in;
        for (const Member& m : members_) {
            const std::string leaf = leaf_of(m.name);
            data_pkl = data_pkl || leaf == "data.pkl";
            if (leaf == "data.pkl") pickled_in.insert(folder_of(m.name));
            if (leaf == "constants.pkl") constants_in.insert(folder_of(m.name));
            arrays = arrays && m.name.ends_with(".npy");
            keras_config = keras_config || m.name == "config.json";
            keras_weights = keras_weights || leaf == "model.weights.h5";
        }
        // Both at the top of one folder, as torch's own reader wants them.
        torchscript_ =
            pickled_in.size() == 1 && pickled_in == constants_in && pickled_in.begin()->find('/') == std::string::npos;
        if (torchscript_) folder_ = *pickled_in.begin();
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
            if (m.method == 99 || (m.flags & 1U) != 0) return context_.gap(inner, "it is encrypted");
            if (!unpack_member(context_, inner, packed, {m.method, m.flags, m.crc, m.size}, unpacked)) {
                if (unpacked.empty()) {
                    others_.insert(m.name);
                    return;
                }
                whole = false;
            }
            if (!context_.take_unpacked(inner, std::min<std::uint64_t>(unpacked.size(), context_.unpacked_left())))
                return;
            bytes = bytes_of(unpacked);
        }
        const bool sum = m.listed && checksum(bytes, context_.threads()) == m.crc;
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
        if (torchscript_ && inner.name.starts_with(folder_ + "/code/") && inner.name.ends_with(".py"))
            inner.name += ".torchscript";
        scan_content(context_, with(inner, bytes));
    }

    static std::string folder_of(const std::string& name) {
        const std::size_t slash = name.rfind('/');
        return slash == std::string::npos ? std::string() : name.substr(0, slash);
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
    std::vector<Member> twins_;  // members as their own headers tell them
    std::set<std::string> others_;
    std::uint64_t first_ = 0;  // where the first member begins that the directory lists
    bool torchscript_ = false;
    std::string folder_;  // of TorchScript
};

}  // namespace

bool has_zip_directory(Bytes bytes) noexcept {
    if (bytes.size() < 22 + 46) return false;
    const auto dir = find_zip_directory(text_of(bytes));
    return dir && dir->count > 0;
}

void scan_zip(Context& context, const Content& content) {
    Walk(context, content).run();
}

}  // namespace freehold::scan
