// Where the storages of a torch file lie, and that every tensor stays inside its own.
#include "torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "builder.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "torch_zip.h"

namespace freehold {
namespace {

constexpr std::string_view kZip("PK\x03\x04"), kLegacy("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");

struct Place {
    std::uint64_t begin = 0, size = 0;  // bytes of a storage, in the file
};

class Parser {
 public:
    Parser(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

    std::vector<TorchTensor> parse() {
        const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
        text.starts_with(kZip) ? read_archive() : read_legacy();
        std::vector<TorchTensor> tensors;
        tensors.reserve(pickle_.tensors.size());
        for (TorchView& view : pickle_.tensors) tensors.push_back(place(view));
        return tensors;
    }

 private:
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(ErrorKind::bad_file, fmt::format("{}: {}.", name_, why), kDamagedHint);
    }
    [[noreturn]] void refuse(const std::string& why, const char* hint) const {
        throw Error(ErrorKind::unsupported, fmt::format("{}: {}.", name_, why), hint);
    }

    const StoredMember& plain(const std::string& part, const StoredMember& m) const {
        if (m.packed != nullptr)
            refuse(fmt::format("part \"{}\" is {}, which torch never writes", printable(part, 80), m.packed),
                   "Unpack the archive and pack it anew without compression, or get the file from its maker.");
        return m;
    }

    void read_archive() {
        const auto members = stored_members(bytes_, name_);
        std::string folder;
        for (const auto& [member, at] : members) {
            if (!member.ends_with("/data.pkl") || std::count(member.begin(), member.end(), '/') != 1) continue;
            folder = member.substr(0, member.size() - 8);
        }
        if (members.contains(folder + "constants.pkl") || members.contains(folder + "code/"))
            refuse("it is a TorchScript archive, which holds code", "Get the weights of this model as safetensors.");
        const auto pickle = members.find(folder + "data.pkl");
        if (folder.empty() || pickle == members.end())
            refuse("it is an archive without a data.pkl, so not a file of torch",
                   "Name the file of weights in it, or the model's folder.");
        if (const auto order = members.find(folder + "byteorder"); order != members.end()) {
            if (text_of(plain(order->first, order->second)) != "little")
                refuse(fmt::format("its numbers are stored \"{}\"-endian", printable(text_of(order->second), 20)),
                       "Have the file saved anew on a little-endian machine.");
        }
        plain(pickle->first, pickle->second);
        pickle_ = read_torch_pickle(bytes_.subspan(pickle->second.begin, pickle->second.size), 0,
                                    fmt::format("{}, part {}", name_, printable(pickle->first, 80)), 0);
        for (const TorchStorage& s : pickle_.storages) {
            const auto at = members.find(folder + "data/" + s.key);
            if (at == members.end())
                fail(fmt::format("the storage \"{}\" that its pickle names is not there", printable(s.key, 40)));
            plain(at->first, at->second);
            places_.push_back(checked(s, {at->second.begin, at->second.size}));
        }
    }

    [[nodiscard]] std::string text_of(const StoredMember& m) const {
        return {reinterpret_cast<const char*>(bytes_.data()) + m.begin,
                static_cast<std::size_t>(std::min<std::uint64_t>(m.size, 64))};
    }

    void read_legacy() {
        std::size_t at = read_legacy_front(bytes_, name_);
        pickle_ = read_torch_pickle(bytes_, at, name_, 0);
        at = pickle_.end;
        std::map<std::string, Place> by_key;
        for (const std::string& key : read_legacy_keys(bytes_, at, name_)) {
            const auto whole = std::find_if(pickle_.storages.begin(), pickle_.storages.end(),
                                            [&](const TorchStorage& s) { return s.key == key; });
            if (whole == pickle_.storages.end())
                fail(fmt::format("the storage \"{}\" of its list is of no tensor, so its type is not known",
                                 printable(key, 40)));
            if (!fits(at, 8, bytes_.size())) fail(fmt::format("it ends before storage \"{}\"", printable(key, 40)));
            std::uint64_t count = 0;
            std::memcpy(&count, bytes_.data() + at, 8);
            at += 8;
            const auto size = checked_mul(count, whole->type == nullptr ? 1 : whole->type->bytes);
            if (!size || !fits(at, *size, bytes_.size()))
                fail(fmt::format("storage \"{}\" of {} elements goes past the end", printable(key, 40), count));
            if (!by_key.emplace(key, Place{at, *size}).second)
                fail(fmt::format("storage \"{}\" comes twice", printable(key, 40)));
            at += *size;
        }
        if (at != bytes_.size()) fail(fmt::format("{} bytes at its end belong to nothing", bytes_.size() - at));
        for (const TorchStorage& s : pickle_.storages) {
            const auto found = by_key.find(s.key);
            if (found == by_key.end())
                fail(fmt::format("the storage \"{}\" that its pickle names is not there", printable(s.key, 40)));
            const std::uint64_t width = s.type == nullptr ? 1 : s.type->bytes;
            const auto skipped = checked_mul(s.view_begin, width);
            if (!skipped || *skipped > found->second.size)
                fail(fmt::format("a part of storage \"{}\" begins behind its end", printable(s.key, 40)));
            places_.push_back(checked(s, {found->second.begin + *skipped, found->second.size - *skipped}));
        }
    }

    [[nodiscard]] Place checked(const TorchStorage& s, Place place) const {
        const auto needs = checked_mul(s.count, s.type == nullptr ? 1 : s.type->bytes);
        if (!needs || *needs > place.size)
            fail(fmt::format("storage \"{}\" should hold {} elements and has {} bytes", printable(s.key, 40), s.count,
                             place.size));
        return {place.begin, *needs};
    }

    [[nodiscard]] TorchTensor place(TorchView& view) const {
        const auto bad = [&](const std::string& why) {
            fail(fmt::format("tensor \"{}\" {}", printable(view.name, 100), why));
        };
        const Place& storage = places_[view.storage];
        TorchTensor t;
        t.name = std::move(view.name);
        view.name = t.name;
        t.type = view.type;
        t.shape = std::move(view.shape);
        t.stride = std::move(view.stride);
        const std::uint64_t width = t.type->bytes;
        std::uint64_t count = 1, last = view.offset, bounded = 1;
        bool ok = true;
        for (std::size_t i = 0; i < t.shape.size(); ++i) {
            const auto n = static_cast<std::uint64_t>(t.shape[i]);
            const auto product = checked_mul(bounded, std::max<std::uint64_t>(n, 1));
            const auto step = checked_mul(n == 0 ? 0 : n - 1, static_cast<std::uint64_t>(t.stride[i]));
            const auto sum = step ? checked_add(last, *step) : std::nullopt;
            if (!product || !sum || *product > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
                ok = false;
                break;
            }
            bounded = *product;
            count *= n;
            last = *sum;
        }
        if (!ok) bad("has a shape and strides whose product is larger than 2^63");
        const auto begin = checked_mul(view.offset, width);
        const auto end = last < std::numeric_limits<std::uint64_t>::max() ? checked_mul(last + 1, width) : std::nullopt;
        const bool inside = begin && end && (count == 0 ? *begin <= storage.size : *end <= storage.size);
        if (!inside) bad(fmt::format("reaches element {} of a storage of {} bytes", last, storage.size));
        check_overlap(t, count);
        t.begin = storage.begin + *begin;
        t.nbytes = count * width;
        t.contiguous = is_contiguous(t);
        return t;
    }

    // From the smallest stride on, each dimension must step over all that lies within it.
    void check_overlap(const TorchTensor& t, std::uint64_t count) const {
        if (count == 0) return;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> dims;  // stride, size
        for (std::size_t i = 0; i < t.shape.size(); ++i)
            if (t.shape[i] > 1)
                dims.emplace_back(static_cast<std::uint64_t>(t.stride[i]), static_cast<std::uint64_t>(t.shape[i]));
        std::sort(dims.begin(), dims.end());
        std::uint64_t reach = 1;
        for (const auto& [stride, size] : dims) {
            if (stride < reach)
                fail(fmt::format("tensor \"{}\" uses elements of its storage more than once (a stride of {})",
                                 printable(t.name, 100), stride));
            reach = stride * (size - 1) + reach;
        }
    }

    [[nodiscard]] static bool is_contiguous(const TorchTensor& t) {
        std::int64_t expected = 1;
        for (std::size_t i = t.shape.size(); i-- > 0;) {
            if (t.shape[i] > 1 && t.stride[i] != expected) return false;
            expected *= std::max<std::int64_t>(t.shape[i], 1);
        }
        return true;
    }

    std::span<const std::byte> bytes_;
    const std::string& name_;
    TorchPickle pickle_;
    std::vector<Place> places_;
};

}  // namespace

bool looks_like_torch(std::span<const std::byte> head) noexcept {
    const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
    return text.starts_with(kZip) || text.starts_with(kLegacy);
}

std::vector<TorchTensor> parse_torch(std::span<const std::byte> bytes, const std::string& name) {
    return Parser(bytes, name).parse();
}

void gather_torch(std::span<const std::byte> file, const TorchTensor& t, std::byte* to) {
    const std::size_t width = t.type->bytes, rank = t.shape.size();
    const std::size_t n = static_cast<std::size_t>(t.nbytes) / width;
    std::vector<std::int64_t> index(rank, 0);
    std::uint64_t at = 0;  // elements behind t.begin
    for (std::size_t i = 0; i < n; ++i) {
        std::memcpy(to + i * width, file.data() + t.begin + at * width, width);
        for (std::size_t d = rank; d-- > 0;) {
            at += static_cast<std::uint64_t>(t.stride[d]);
            if (++index[d] < t.shape[d]) break;
            at -= static_cast<std::uint64_t>(t.stride[d]) * static_cast<std::uint64_t>(t.shape[d]);
            index[d] = 0;
        }
    }
}

}  // namespace freehold
