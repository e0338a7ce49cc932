// Tar, written and read (POSIX.1-2017, pax). The reader is for hostile bytes: what is no plain file is a fault, what is
// no archive an error.
#include "tar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/contents.h"
#include "freehold/bundle/manifest.h"

namespace freehold::bundle {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::uint64_t kLargestOctal = (1ULL << 33U) - 1;
constexpr std::uint64_t kMaxPax = 1U << 20U;

struct Field {
    std::size_t at, size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kTime{136, 12}, kSum{148, 8},
    kMagic{257, 8}, kPrefix{345, 155};
constexpr std::size_t kType = 156;

std::uint64_t padded(std::uint64_t size) {
    return (size + kBlock - 1) / kBlock * kBlock;
}

void put(std::string& block, Field field, std::string_view text) {
    std::ranges::copy(text.substr(0, field.size), block.begin() + static_cast<std::ptrdiff_t>(field.at));
}

void put_octal(std::string& block, Field field, std::uint64_t value) {
    put(block, field, fmt::format("{:0{}o}", value, field.size - 1));
}

unsigned sum_of(std::string_view block) {
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i)
        sum += i >= kSum.at && i < kSum.at + kSum.size ? ' ' : static_cast<unsigned char>(block[i]);
    return sum;
}

std::string block_of(std::string_view name, std::string_view prefix, std::uint64_t size, std::int64_t time, char type) {
    std::string block(kBlock, '\0');
    put(block, kName, name);
    put_octal(block, kMode, 0644);
    put_octal(block, kUid, 0);
    put_octal(block, kGid, 0);
    put_octal(block, kSize, size);
    put_octal(block, kTime, static_cast<std::uint64_t>(std::clamp<std::int64_t>(time, 0, kLargestOctal)));
    block[kType] = type;
    put(block, kMagic, std::string_view("ustar\00000", 8));
    put(block, kPrefix, prefix);
    put(block, kSum, fmt::format("{:06o}", sum_of(block)));
    block[kSum.at + 7] = ' ';
    return block;
}

// "LENGTH key=value\n", where LENGTH counts itself.
std::string pax_record(std::string_view key, std::string_view value) {
    const std::size_t rest = key.size() + value.size() + 3;
    std::size_t length = rest + 1;
    while (fmt::format("{}", length).size() + rest != length) length = fmt::format("{}", length).size() + rest;
    return fmt::format("{} {}={}\n", length, key, value);
}

// ---- reading

[[noreturn]] void bad(const std::filesystem::path& at, std::uint64_t offset, const std::string& message) {
    throw Error(ErrorKind::bad_file, fmt::format("{}: at byte {}: {}", at.string(), offset, message),
                "The archive is damaged or was not made by 'freehold pack'; get it again.");
}

std::string_view field_of(std::string_view block, Field field) {
    const std::string_view raw = block.substr(field.at, field.size);
    return raw.substr(0, std::min(raw.find('\0'), raw.size()));
}

std::optional<std::uint64_t> octal(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    if (text.empty() || text.size() > 20) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '7') return std::nullopt;
        value = value * 8 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
}

std::optional<std::uint64_t> decimal(std::string_view text) {
    if (text.empty() || text.size() > 18) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
}

bool is_zero(std::string_view bytes) {
    return std::ranges::all_of(bytes, [](char c) { return c == '\0'; });
}

class TarReader {
 public:
    TarReader(std::string_view bytes, const std::filesystem::path& at) : bytes_(bytes), at_(at) {
        out_.name = at.string();
    }

    Contents run() {
        while (next()) {
        }
        std::ranges::stable_sort(out_.entries, {}, &Entry::name);
        for (std::size_t i = 1; i < out_.entries.size(); ++i)
            if (out_.entries[i].name == out_.entries[i - 1].name)
                fault(fmt::format("The name \"{}\" stands in the archive twice.", printable(out_.entries[i].name)));
        return std::move(out_);
    }

 private:
    void fault(std::string sentence) {
        if (out_.faults.size() < 100) out_.faults.push_back(std::move(sentence));
    }

    // The bytes of the entry at `position_`, which moves on behind them.
    std::string_view take(std::uint64_t size, std::uint64_t header) {
        if (!fits(position_, size, bytes_.size())) bad(at_, header, "an entry reaches beyond the end of the archive.");
        const std::string_view data = bytes_.substr(position_, size);
        const std::uint64_t whole = padded(size);
        if (!fits(position_, whole, bytes_.size())) bad(at_, header, "the last block of an entry is cut off.");
        if (!is_zero(bytes_.substr(position_ + size, whole - size)))
            bad(at_, header, "something is hidden behind the end of an entry.");
        position_ += whole;
        return data;
    }

    void read_pax(std::string_view records, std::uint64_t header) {
        while (!records.empty()) {
            const std::size_t blank = records.find(' ');
            const auto length = blank == std::string_view::npos ? std::nullopt : decimal(records.substr(0, blank));
            if (!length || *length > records.size() || *length < blank + 3 || records[*length - 1] != '\n')
                bad(at_, header, "a pax header is malformed.");
            const std::string_view record = records.substr(blank + 1, *length - blank - 2);
            records.remove_prefix(*length);
            const std::size_t equals = record.find('=');
            if (equals == std::string_view::npos) bad(at_, header, "a pax header has no value.");
            const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
            if (key == "path") {
                pax_path_ = std::string(value);
            } else if (key == "size") {
                pax_size_ = decimal(value);
                if (!pax_size_) bad(at_, header, "the size in a pax header is no number.");
            } else if (key != "mtime" && key != "atime" && key != "ctime") {
                bad(at_, header, fmt::format("the pax header \"{}\" is not read here.", printable(key)));
            }
        }
    }

    void end(std::uint64_t header) {
        if (!is_zero(bytes_.substr(header))) bad(at_, header, "something is hidden behind the end of the archive.");
        if (bytes_.size() - header < 2 * kBlock) bad(at_, header, "the end of the archive is cut off.");
    }

    bool next() {
        const std::uint64_t header = position_;
        if (!fits(header, kBlock, bytes_.size())) bad(at_, header, "the archive has no end: it was cut off.");
        const std::string_view block = bytes_.substr(header, kBlock);
        if (is_zero(block)) {
            if (pax_path_ || pax_size_) bad(at_, header, "a pax header belongs to no entry.");
            end(header);
            return false;
        }
        if (octal(field_of(block, kSum)) != sum_of(block)) bad(at_, header, "the sum of a header is wrong.");
        if (!block.substr(kMagic.at).starts_with("ustar")) bad(at_, header, "a header is not of the ustar form.");
        const auto declared = octal(field_of(block, kSize));
        if (!declared) bad(at_, header, "the size of an entry is no octal number.");
        position_ += kBlock;
        const char type = block[kType];
        if (type == 'x') {
            if (pax_path_ || pax_size_) bad(at_, header, "two pax headers stand before one entry.");
            if (*declared > kMaxPax) bad(at_, header, "a pax header is too long.");
            read_pax(take(*declared, header), header);
            return true;
        }
        const std::uint64_t size = pax_size_.value_or(*declared);
        std::string name = pax_path_ ? *pax_path_ : full_name(block);
        pax_path_.reset();
        pax_size_.reset();
        const std::uint64_t from = position_;
        take(size, header);
        add(type, std::move(name), from, size);
        return true;
    }

    static std::string full_name(std::string_view block) {
        const std::string_view prefix = field_of(block, kPrefix);
        return prefix.empty() ? std::string(field_of(block, kName))
                              : fmt::format("{}/{}", prefix, field_of(block, kName));
    }

    void add(char type, std::string name, std::uint64_t from, std::uint64_t size) {
        // As tar writes the names below a folder that was given as ".".
        if (name.size() >= 2 && name[0] == '.' && name[1] == '/') name.erase(0, 2);
        if (type == '5' && size == 0) {
            while (name.ends_with('/')) name.pop_back();
            if (name == "." || name.empty()) return;
        } else if (type != '0' && type != '\0') {
            const char* const kind = type == '1' || type == '2' ? "a link" : "no plain file";
            return fault(fmt::format("{} is {} in the archive.", printable(name), kind));
        }
        if (const std::string wrong = name_fault(name); !wrong.empty())
            return fault(fmt::format("The name \"{}\" is refused: {}.", printable(name), wrong));
        if (type == '5') return;
        if (out_.entries.size() >= kMaxEntries)
            throw Error(ErrorKind::limit, fmt::format("{} holds more than {} files.", at_.string(), kMaxEntries),
                        "A bundle is one model.");
        out_.entries.push_back({std::move(name), at_, from, size, {}});
    }

    std::string_view bytes_;
    std::filesystem::path at_;
    std::uint64_t position_ = 0;
    std::optional<std::string> pax_path_;
    std::optional<std::uint64_t> pax_size_;
    Contents out_;
};

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::string tar_header(std::string_view name, std::uint64_t size, std::int64_t time) {
    std::string records;
    std::string_view leaf = name, prefix;
    if (name.size() > kName.size) {
        // ustar cuts a long name at a slash, if there is one in the right place.
        const std::size_t slash = name.find('/', name.size() - kName.size - 1);
        if (slash > 0 && slash <= kPrefix.size) {
            prefix = name.substr(0, slash);
            leaf = name.substr(slash + 1);
        } else {
            records += pax_record("path", name);
            leaf = name.substr(name.size() - kName.size);
        }
    }
    if (size > kLargestOctal) records += pax_record("size", fmt::format("{}", size));
    std::string out;
    if (!records.empty()) out = block_of("pax", "", records.size(), time, 'x') + records + tar_padding(records.size());
    return out + block_of(leaf, prefix, size > kLargestOctal ? 0 : size, time, '0');
}

std::string tar_padding(std::uint64_t size) {
    return std::string(padded(size) - size, '\0');
}

std::string tar_end() {
    return std::string(2 * kBlock, '\0');
}

bool is_tar(std::span<const std::byte> bytes) noexcept {
    return bytes.size() >= 2 * kBlock && text_of(bytes).substr(kMagic.at).starts_with("ustar");
}

Contents contents_of_tar(std::span<const std::byte> bytes, const std::filesystem::path& at) {
    return TarReader(text_of(bytes), at).run();
}

}  // namespace freehold::bundle
