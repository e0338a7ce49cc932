// HDF5 (file format specification 3.0), as far as it decides about harm: groups and links, attributes with their texts,
// where a dataset takes its bytes from and through which filters. Numbers are not read. Keras keeps a model's
// configuration in attributes, PyTables keeps pickles there.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "freehold/base/checked.h"
#include "freehold/base/printable.h"
#include "hdf5_parts.h"
#include "readers.h"

namespace freehold::scan {
namespace {

constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
constexpr std::size_t kMostObjects = 1'000'000;

using Broken = BrokenHdf5;
using Cursor = Hdf5Cursor;

struct Message {
    unsigned type = 0, flags = 0;
    std::string_view data;
};

// Where a dataset keeps its bytes, packed in pieces of one size.
struct Chunks {
    std::uint64_t tree = 0;      // of pieces; or else
    std::uint64_t only = 0;      // the one piece,
    std::uint64_t packed = 0;    // of so many bytes
    std::uint64_t left_out = 0;  // filters that were not applied to it
    std::uint64_t size = 0;      // of a piece, unpacked; 0: not known here
    unsigned dimensions = 0;     // of the tree's keys
};

struct Datatype {
    unsigned kind = 0;
    std::uint64_t size = 0;
    bool text() const noexcept { return kind == 3 || kind == 5 || kind == 9; }  // string, opaque, of variable length
};

std::string zero_ended(std::string_view text) {
    return std::string(text.substr(0, text.find('\0')));
}

class File {
 public:
    File(Context& context, const Content& content, std::uint64_t begin)
        : context_(context), content_(content), begin_(begin), b_(text_of(content.bytes).substr(begin)) {}

    void run() {
        Cursor c(b_, 8);
        const std::uint64_t version = c.number(1);
        std::uint64_t root = 0;
        if (version <= 1) {
            c.skip(4);
            const std::uint64_t offsets = c.number(1);
            set_widths(offsets, c.number(1));
            c.skip(version == 0 ? 9 : 13);
            base_ = address(c);
            c.skip(std::uint64_t{3} * wide_);
            c.skip(wide_);  // name of the root
            root = address(c);
        } else if (version <= 3) {
            const std::uint64_t offsets = c.number(1);
            set_widths(offsets, c.number(1));
            c.skip(1);
            base_ = address(c);
            c.skip(std::uint64_t{2} * wide_);
            root = address(c);
        } else {
            throw Broken{fmt::format("its version {} is not known", version)};
        }
        if (base_ != 0 && base_ != begin_) throw Broken{"its addresses do not count from its beginning"};
        visit(root, "");
        while (!waiting_.empty()) {
            const auto [at, path] = waiting_.back();
            waiting_.pop_back();
            object(at, path);
        }
    }

 private:
    void set_widths(std::uint64_t offsets, std::uint64_t lengths) {
        if ((offsets != 4 && offsets != 8) || (lengths != 4 && lengths != 8))
            throw Broken{fmt::format("addresses of {} bytes are not known", offsets)};
        wide_ = static_cast<unsigned>(offsets);
        long_ = static_cast<unsigned>(lengths);
        nowhere_ = wide_ == 8 ? ~0ULL : 0xffffffffULL;
    }
    std::uint64_t address(Cursor& c) const { return c.number(wide_); }

    void visit(std::uint64_t at, std::string path) {
        if (at == nowhere_ || !seen_.insert(at).second) return;
        if (seen_.size() > kMostObjects) throw Broken{fmt::format("it holds more than {} objects", kMostObjects)};
        waiting_.emplace_back(at, std::move(path));
    }

    // --- headers -----------------------------------------------------------------------------------------------------

    std::vector<Message> messages(std::uint64_t at) const {
        std::vector<Message> out;
        Cursor c(b_, at);
        std::vector<std::pair<std::uint64_t, std::uint64_t>> blocks;  // begin, length
        const bool second = b_.substr(std::min<std::uint64_t>(at, b_.size()), 4) == "OHDR";
        bool ordered = false;
        if (second) {
            c.skip(5);
            const std::uint64_t flags = c.number(1);
            ordered = (flags & 4U) != 0;
            c.skip(((flags & 0x20U) != 0 ? 16 : 0) + ((flags & 0x10U) != 0 ? 4 : 0));
            const std::uint64_t length = c.number(1U << (flags & 3U));
            blocks.emplace_back(c.at(), length);
        } else {
            if (c.number(1) != 1) throw Broken{fmt::format("there is no object at {}", at)};
            c.skip(7);
            const std::uint64_t length = c.number(4);
            c.skip(4);
            blocks.emplace_back(c.at(), length);
        }
        const std::uint64_t head = second ? (ordered ? 6 : 4) : 8;
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            if (i > 10000) throw Broken{fmt::format("the object at {} has no end", at)};
            const auto [begin, length] = blocks[i];
            if (!fits(begin, length, b_.size())) throw Broken{fmt::format("the object at {} goes past the end", at)};
            Cursor block(b_.substr(0, begin + length), begin);
            while (block.left() >= head) {
                Message m;
                m.type = static_cast<unsigned>(block.number(second ? 1 : 2));
                const std::uint64_t size = block.number(2);
                m.flags = static_cast<unsigned>(block.number(1));
                block.skip(head - (second ? 4 : 5));
                m.data = block.take(size);
                if (m.type != 0x10) {
                    out.push_back(m);
                    continue;
                }
                Cursor next(m.data, 0);
                std::uint64_t more = address(next), bytes = next.number(long_);
                if (second) {  // "OCHK" before it, a checksum behind
                    Cursor(b_, more).expect("OCHK");
                    if (bytes < 8) throw Broken{"a part of an object is too short"};
                    more += 4;
                    bytes -= 8;
                }
                blocks.emplace_back(more, bytes);
            }
        }
        return out;
    }

    void object(std::uint64_t at, const std::string& path) {
        Datatype type;
        std::string_view filters;
        Chunks chunks;
        for (const Message& m : messages(at)) {
            Cursor c(m.data, 0);
            switch (m.type) {
                case 0x02:
                    dense(c, path, false);
                    break;
                case 0x03:
                    if (const auto own = (m.flags & 2U) == 0 ? m.data : shared_type(c)) type = datatype(*own);
                    break;
                case 0x06:
                    link(c, path);
                    break;
                case 0x07:
                    elsewhere(path, "keeps its numbers in other files");
                    break;
                case 0x08:
                    chunks = layout(c, path);
                    break;
                case 0x0b:
                    filters = m.data;
                    break;
                case 0x0c:
                    if ((m.flags & 2U) != 0)
                        told("an attribute of \"" + path + "\" is kept elsewhere and was not looked at");
                    else
                        attribute(c, path);
                    break;
                case 0x11:
                    group(c, path);
                    break;
                case 0x15:
                    dense(c, path, true);
                    break;
                default:
                    break;
            }
        }
        if (!filters.empty() && type.text() && !packed_texts(chunks, filters, type, path))
            told(fmt::format("the texts of \"{}\" are compressed and were not looked at", printable(path)));
    }

    // The type of something that is kept in an object of its own (H5Tcommit); nothing where it lies in a heap.
    std::optional<std::string_view> shared_type(Cursor& c) const {
        const std::uint64_t version = c.number(1), kind = c.number(1);
        if (version == 1) c.skip(6);
        if (version < 1 || version > 3 || (version == 3 && kind != 2)) return std::nullopt;
        for (const Message& m : messages(address(c))) {
            if (m.type == 0x03 && (m.flags & 2U) == 0) return m.data;
        }
        return std::nullopt;
    }

    // --- groups and links --------------------------------------------------------------------------------------------

    void group(Cursor& c, const std::string& path) {
        const std::uint64_t tree = address(c), heap = address(c);
        Cursor h(b_, heap);
        h.expect("HEAP");
        h.skip(4);
        const std::uint64_t size = h.number(long_);
        h.skip(long_);
        const std::uint64_t names = address(h);
        if (!fits(names, size, b_.size())) throw Broken{"the names of a group go past the end"};
        branch(tree, b_.substr(names, size), path, 0);
    }

    void branch(std::uint64_t at, std::string_view names, const std::string& path, int depth) {
        if (depth > 64) throw Broken{"a group is nested in itself"};
        Cursor c(b_, at);
        if (b_.substr(std::min<std::uint64_t>(at, b_.size()), 4) == "SNOD") {
            c.skip(6);
            const std::uint64_t count = c.number(2);
            for (std::uint64_t i = 0; i < count; ++i) {
                const std::uint64_t name = c.number(wide_), object_at = address(c), cached = c.number(4);
                c.skip(20);
                if (name >= names.size()) throw Broken{"a name of a group lies outside"};
                // 2: a symbolic link inside this file
                if (cached != 2) visit(object_at, path + "/" + zero_ended(names.substr(name)));
            }
            return;
        }
        c.expect("TREE");
        if (c.number(1) != 0) throw Broken{"the tree of a group is none"};
        c.skip(1);
        const std::uint64_t count = c.number(2);
        c.skip(std::uint64_t{2} * wide_);
        for (std::uint64_t i = 0; i < count; ++i) {
            c.skip(long_);
            const std::uint64_t child = address(c);
            if (!branches_.insert(child).second) throw Broken{"the trees of two groups meet"};
            branch(child, names, path, depth + 1);
        }
    }

    void link(Cursor& c, const std::string& path) {
        c.skip(1);
        const std::uint64_t flags = c.number(1);
        const std::uint64_t kind = (flags & 8U) != 0 ? c.number(1) : 0;
        c.skip(((flags & 4U) != 0 ? 8 : 0) + ((flags & 0x10U) != 0 ? 1 : 0));
        const std::string name(c.take(c.number(1U << (flags & 3U))));
        if (kind == 0) {
            visit(address(c), path + "/" + name);
        } else if (kind == 64) {
            const std::string_view value = c.take(c.number(2));
            elsewhere(path + "/" + name,
                      fmt::format("is a link to another file, \"{}\"",
                                  printable(zero_ended(value.substr(std::min<std::size_t>(1, value.size()))))));
        }
    }

    // Many links or attributes lie in a heap of their own kind.
    void dense(Cursor& c, const std::string& path, bool attributes) {
        c.skip(1);
        const std::uint64_t flags = c.number(1);
        if ((flags & 1U) != 0) c.skip(attributes ? 2 : 8);
        if (address(c) == nowhere_) return;
        told(fmt::format("\"{}\" has so many {} that they are kept in a heap, which is searched only",
                         path.empty() ? "/" : printable(path), attributes ? "attributes" : "members"));
    }

    Chunks layout(Cursor& c, const std::string& path) {
        Chunks out;
        const std::uint64_t version = c.number(1);
        if (version < 3) return out;
        const std::uint64_t kind = c.number(1);
        if (version >= 4 && kind == 3) elsewhere(path, "is put together from other files or datasets");
        if (kind != 2) return out;
        const std::uint64_t flags = version >= 4 ? c.number(1) : 0;
        out.dimensions = static_cast<unsigned>(c.number(1));
        const std::uint64_t width = version >= 4 ? c.number(1) : 4;
        if (version == 3) out.tree = address(c);
        if (width < 1 || width > 8) throw Broken{"the pieces of a dataset have no size"};
        std::uint64_t size = 1;
        for (unsigned i = 0; i < out.dimensions; ++i) {
            const std::uint64_t n = c.number(static_cast<unsigned>(width));
            if (n == 0 || size > context_.limits().member / n) return out;
            size *= n;
        }
        if (version >= 4) {
            // Of the five ways to find a piece: there is one only.
            if (c.number(1) != 1 || (flags & 2U) == 0) return out;
            out.packed = c.number(long_);
            out.left_out = c.number(4);
            out.only = address(c);
        }
        out.size = size;
        return out;
    }

    // Looks at the texts of a dataset that are kept in packed pieces; false where not every piece could be unpacked.
    bool packed_texts(const Chunks& chunks, std::string_view message, const Datatype& type, const std::string& path) {
        const auto filters = read_hdf5_filters(message);
        if (!filters || chunks.size == 0) return false;
        bool whole = true;
        const auto piece = [&](std::uint64_t at, std::uint64_t length, std::uint64_t left_out) {
            if (at == nowhere_) return;
            if (!fits(at, length, b_.size())) throw Broken{"a piece of a dataset goes past the end"};
            if (!context_.take_unpacked(content_, chunks.size)) return;
            const auto bytes = unpack_hdf5_chunk(b_.substr(at, length), chunks.size, *filters, left_out);
            whole = whole && bytes.has_value();
            if (bytes) texts(path, "", type, *bytes);
        };
        if (chunks.only != 0) {
            piece(chunks.only, chunks.packed, chunks.left_out);
        } else if (chunks.tree != nowhere_) {
            pieces(chunks.tree, chunks.dimensions, piece, 0);
        }
        return whole;
    }

    template <class Piece>
    void pieces(std::uint64_t at, unsigned dimensions, const Piece& piece, int depth) {
        if (depth > 64 || !branches_.insert(at).second) throw Broken{"the trees of two datasets meet"};
        Cursor c(b_, at);
        c.expect("TREE");
        if (c.number(1) != 1) throw Broken{"the tree of a dataset is none"};
        const std::uint64_t level = c.number(1), count = c.number(2);
        c.skip(std::uint64_t{2} * wide_);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t length = c.number(4), left_out = c.number(4);
            c.skip(std::uint64_t{8} * dimensions);
            const std::uint64_t child = address(c);
            if (level == 0)
                piece(child, length, left_out);
            else
                pieces(child, dimensions, piece, depth + 1);
        }
    }

    // --- attributes --------------------------------------------------------------------------------------------------

    static Datatype datatype(std::string_view data) {
        Cursor c(data, 0);
        Datatype out;
        out.kind = static_cast<unsigned>(c.number(1)) & 15U;
        c.skip(3);
        out.size = c.number(4);
        return out;
    }

    void attribute(Cursor& c, const std::string& path) {
        const std::uint64_t version = c.number(1), flags = c.number(1);
        if (version < 1 || version > 3) throw Broken{"an attribute is of a version that is not known"};
        const std::uint64_t n_name = c.number(2), n_type = c.number(2), n_space = c.number(2);
        if (version == 3) c.skip(1);
        const auto padded = [&](std::uint64_t n) { return version == 1 ? (n + 7) / 8 * 8 : n; };
        const std::string name = zero_ended(c.take(padded(n_name)));
        std::string_view type_data = c.take(padded(n_type));
        c.skip(padded(n_space));
        const std::string where = path + "@" + name;
        if (version > 1 && (flags & 1U) != 0) {
            Cursor shared(type_data, 0);
            const auto own = shared_type(shared);
            if (!own)
                return told(
                    fmt::format("the kind of \"{}\" is kept elsewhere, it was not looked at", printable(where)));
            type_data = *own;
        }
        const Datatype type = datatype(type_data);
        const std::string_view data = c.take(c.left());
        if (type.text()) texts(where, name, type, data);
    }

    // Texts one behind the other, or where they are found. Short ones are looked at together.
    void texts(const std::string& where, const std::string& name, const Datatype& type, std::string_view data) {
        constexpr std::uint64_t kShort = 64;
        if (type.kind != 9) {
            const std::uint64_t step = type.size < kShort ? std::max<std::uint64_t>(data.size(), 1) : type.size;
            for (std::uint64_t at = 0; at < data.size(); at += step) value(where, name, data.substr(at, step));
            return;
        }
        for (Cursor each(data, 0); each.left() >= 8 + std::uint64_t{wide_};) {
            const std::uint64_t length = each.number(4), heap = address(each), index = each.number(4);
            if (length > 0 && heap != nowhere_ && heap != 0) value(where, name, heap_object(heap, index));
        }
    }

    std::string_view heap_object(std::uint64_t at, std::uint64_t wanted) const {
        Cursor c(b_, at);
        c.expect("GCOL");
        c.skip(4);
        const std::uint64_t size = c.number(long_);
        if (!fits(at, size, b_.size())) throw Broken{"a heap goes past the end"};
        while (c.at() + 8 + long_ <= at + size) {
            const std::uint64_t index = c.number(2);
            c.skip(6);
            const std::uint64_t length = c.number(long_);
            if (index == 0) break;
            const std::string_view data = c.take(length);
            if (index == wanted) return data;
            c.skip(std::min<std::uint64_t>((8 - length % 8) % 8, c.left()));
        }
        throw Broken{fmt::format("the heap at {} has no object {}", at, wanted)};
    }

    void value(const std::string& where, const std::string& name, std::string_view data) {
        while (!data.empty() && data.back() == '\0') data.remove_suffix(1);
        if (data.size() < 8 || !context_.take_member(content_)) return;
        context_.descend(content_, bytes_of(data), where, name);
    }

    // --- what is told ------------------------------------------------------------------------------------------------

    void elsewhere(const std::string& path, const std::string& what) {
        context_.find("hdf5.external", content_, {}, fmt::format("\"{}\" {}.", printable(path), what));
    }
    void told(std::string reason) { context_.gap(content_, std::move(reason)); }

    Context& context_;
    const Content& content_;
    std::uint64_t begin_;  // of the HDF5 file in the content; addresses count from there
    std::string_view b_;
    unsigned wide_ = 8, long_ = 8;
    std::uint64_t base_ = 0, nowhere_ = ~0ULL;
    std::set<std::uint64_t> seen_, branches_;
    std::vector<std::pair<std::uint64_t, std::string>> waiting_;
};

// The signature stands at the beginning, or at 512, 1024, 2048, ...
std::optional<std::uint64_t> find_signature(std::string_view text) {
    for (std::uint64_t at = 0; at < text.size() && at <= (1U << 20); at = at == 0 ? 512 : at * 2)
        if (text.substr(at, kSignature.size()) == kSignature) return at;
    return std::nullopt;
}

}  // namespace

bool is_hdf5(Bytes bytes) noexcept {
    return find_signature(text_of(bytes)).has_value();
}

void scan_hdf5(Context& context, const Content& content) {
    context.kind("HDF5");
    scan_keras_text(context, content);
    try {
        File(context, content, find_signature(text_of(content.bytes)).value_or(0)).run();
    } catch (const Broken& broken) {
        context.gap(content, "its structure cannot be followed: " + broken.why);
    }
}

}  // namespace freehold::scan
