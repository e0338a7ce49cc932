// Reads the central directory from the end, as every reader of archives does, and holds each member against its own
// header.
#include "torch_zip.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "builder.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold {
namespace {

constexpr std::uint64_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr std::uint32_t kLocal = 0x04034B50, kCentral = 0x02014B50, kEnd = 0x06054B50, kEnd64 = 0x06064B50,
                        kLocator = 0x07064B50;
constexpr std::uint64_t kMaxMembers = 1 << 20;

class Directory {
 public:
    Directory(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

    std::map<std::string, StoredMember, std::less<>> read() {
        find();
        std::uint64_t at = at_;
        for (std::uint64_t i = 0; i < count_; ++i) at = member(at);
        check_overlaps();
        return std::move(members_);
    }

 private:
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(ErrorKind::bad_file, fmt::format("{} is not a valid archive: {}.", name_, why), kDamagedHint);
    }

    [[nodiscard]] std::uint64_t number(std::uint64_t at, unsigned width) const {
        if (!fits(at, width, bytes_.size())) fail(fmt::format("it ends inside its directory, offset {}", at));
        std::uint64_t n = 0;
        for (unsigned i = 0; i < width; ++i)
            n |= std::uint64_t{std::to_integer<std::uint8_t>(bytes_[at + i])} << (8 * i);
        return n;
    }

    void find() {
        if (bytes_.size() < kEndSize) fail("it is too short");
        const std::uint64_t last = bytes_.size() - kEndSize;
        const std::uint64_t least = last > 0xFFFF ? last - 0xFFFF : 0;
        std::uint64_t end = last + 1;
        for (std::uint64_t at = last + 1; at-- > least;) {
            if (number(at, 4) == kEnd && at + kEndSize + number(at + 20, 2) == bytes_.size()) {
                end = at;
                break;
            }
        }
        if (end > last) fail("it has no directory");
        count_ = number(end + 10, 2);
        std::uint64_t size = number(end + 12, 4);
        at_ = number(end + 16, 4);
        if (end >= kLocatorSize && number(end - kLocatorSize, 4) == kLocator) {
            const std::uint64_t wide = number(end - kLocatorSize + 8, 8);
            if (!fits(wide, kEnd64Size, bytes_.size()) || number(wide, 4) != kEnd64)
                fail("its directory for large archives is not where it should be");
            count_ = number(wide + 32, 8);
            size = number(wide + 40, 8);
            at_ = number(wide + 48, 8);
        }
        if (!fits(at_, size, end)) fail("its directory goes past the end");
        if (count_ > kMaxMembers || count_ > size / kCentralSize) fail(fmt::format("it claims {} members", count_));
    }

    std::uint64_t member(std::uint64_t at) {
        if (number(at, 4) != kCentral) fail(fmt::format("a member is missing from its directory, offset {}", at));
        const std::uint64_t flags = number(at + 8, 2), method = number(at + 10, 2), name_size = number(at + 28, 2),
                            extra = number(at + 30, 2), comment = number(at + 32, 2);
        std::uint64_t packed = number(at + 20, 4), size = number(at + 24, 4), local = number(at + 42, 4);
        if (!fits(at + kCentralSize, name_size + extra + comment, bytes_.size())) fail("a name goes past the end");
        const std::string name(reinterpret_cast<const char*>(bytes_.data()) + at + kCentralSize, name_size);
        wide_sizes(at + kCentralSize + name_size, extra, size, packed, local);
        const char* how = (flags & 1) != 0 ? "encrypted" : method != 0 ? "compressed" : nullptr;
        if (how == nullptr && packed != size) fail(fmt::format("part \"{}\" has two sizes", printable(name, 80)));
        if (!fits(local, kLocalSize, bytes_.size()) || number(local, 4) != kLocal)
            fail(fmt::format("part \"{}\" is not where the directory says", printable(name, 80)));
        const auto begin = checked_add(local, kLocalSize + number(local + 26, 2) + number(local + 28, 2));
        if (!begin || !fits(*begin, packed, at_))
            fail(fmt::format("part \"{}\" goes past the end", printable(name, 80)));
        if (!members_.emplace(name, StoredMember{*begin, packed, how}).second)
            fail(fmt::format("part \"{}\" comes twice", printable(name, 80)));
        return at + kCentralSize + name_size + extra + comment;
    }

    // Sizes over four bytes stand in an extra field, in this order, each only if the short one says so.
    void wide_sizes(std::uint64_t at, std::uint64_t length, std::uint64_t& size, std::uint64_t& packed,
                    std::uint64_t& local) const {
        constexpr std::uint64_t kMax = 0xFFFFFFFF;
        const std::uint64_t end = at + length;
        while (at + 4 <= end) {
            const std::uint64_t id = number(at, 2), field = number(at + 2, 2);
            if (at + 4 + field > end) fail("an extra field goes past its end");
            if (id == 1) {
                std::uint64_t value = at + 4;
                for (std::uint64_t* n : {&size, &packed, &local}) {
                    if (*n != kMax) continue;
                    if (value + 8 > at + 4 + field) fail("an extra field is too short");
                    *n = number(value, 8);
                    value += 8;
                }
            }
            at += 4 + field;
        }
    }

    void check_overlaps() const {
        std::vector<std::pair<StoredMember, std::string_view>> order;
        for (const auto& entry : members_) order.emplace_back(entry.second, entry.first);
        std::sort(order.begin(), order.end(),
                  [](const auto& a, const auto& b) { return a.first.begin < b.first.begin; });
        for (std::size_t i = 1; i < order.size(); ++i) {
            const StoredMember& before = order[i - 1].first;
            if (before.begin + before.size > order[i].first.begin)
                fail(fmt::format("parts \"{}\" and \"{}\" lie over each other", printable(order[i - 1].second, 80),
                                 printable(order[i].second, 80)));
        }
    }

    std::span<const std::byte> bytes_;
    const std::string& name_;
    std::uint64_t at_ = 0, count_ = 0;
    std::map<std::string, StoredMember, std::less<>> members_;
};

}  // namespace

std::map<std::string, StoredMember, std::less<>> stored_members(std::span<const std::byte> bytes,
                                                                const std::string& name) {
    return Directory(bytes, name).read();
}

}  // namespace freehold
