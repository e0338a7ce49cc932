// Panels first, so that they can be written as they are made; then the table, then a tail of fixed size that says where
// the table is. Places in the file follow from the sizes, so a table that contradicts itself is found.
#include "freehold/formats/panel_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cursor.h"
#include "freehold/base/error.h"

namespace freehold {
namespace {

static_assert(std::endian::native == std::endian::little, "panels are written as they lie in memory");

constexpr std::string_view kMagic = "FHPANELS";
constexpr std::size_t kKeyBytes = 64;
constexpr std::size_t kDigestBytes = 64;
// Magic, layout, number of entries, where the table begins, size of the file, key; then the digest of all before it.
constexpr std::size_t kTailBytes = 8 + 4 + 4 + 8 + 8 + kKeyBytes + kDigestBytes;
constexpr std::size_t kAlign = 64;
constexpr std::size_t kLeastEntry = 8 + 1 + 1 + 5 * 8;
constexpr std::size_t kLongestName = 256;
// Writes of whole huge pages: where the file system can keep them so, they are later mapped so.
constexpr std::size_t kGather = std::size_t{2} << 20;

constexpr const char* kHint = "It is left aside; the weights are repacked from the model's own file.";

[[noreturn]] void fail(const std::string& what, const std::string& why) {
    throw Error(ErrorKind::bad_file, fmt::format("{} is not a panel file that can be used: {}.", what, why), kHint);
}

std::uint64_t aligned(std::uint64_t at) {
    return (at + kAlign - 1) / kAlign * kAlign;
}

std::string text_at(std::span<const std::byte> file, std::size_t at, std::size_t length) {
    return {reinterpret_cast<const char*>(file.data() + at), length};
}

PanelEntry read_entry(Cursor& in, const std::string& what) {
    PanelEntry e;
    e.facts.name = in.string("a name");
    if (e.facts.name.size() > kLongestName) fail(what, "a name is longer than any weight's");
    e.facts.dtype = static_cast<DType>(in.read<std::uint8_t>("a type"));
    e.facts.profile = in.read<std::uint8_t>("a profile");
    for (std::uint64_t* number : {&e.facts.rows, &e.facts.cols, &e.facts.source_offset, &e.facts.bytes, &e.at})
        *number = in.read<std::uint64_t>("a number");
    return e;
}

void append(std::vector<std::byte>& to, const void* from, std::size_t n) {
    const auto* p = static_cast<const std::byte*>(from);
    to.insert(to.end(), p, p + n);
}

template <class T>
void append(std::vector<std::byte>& to, T value) {
    append(to, &value, sizeof value);
}

// Starts reading the file where it is not in memory yet, unless that would push out more than it brings.
void ask_for(std::span<const std::byte> file) {
    const auto memory = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES))) *
                        static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
    if (file.size() <= memory / 2) ::madvise(const_cast<std::byte*>(file.data()), file.size(), MADV_WILLNEED);
}

}  // namespace

std::vector<PanelEntry> parse_panel_table(std::span<const std::byte> file, std::string_view key,
                                          const std::string& what) {
    if (file.size() < kTailBytes) fail(what, fmt::format("it has {} bytes only", file.size()));
    const std::size_t tail_at = file.size() - kTailBytes;
    if (text_at(file, tail_at, kMagic.size()) != kMagic) fail(what, "its end is missing");
    Cursor tail(file.subspan(tail_at + kMagic.size()), what);
    const auto layout = tail.read<std::uint32_t>("the layout");
    if (layout != kPanelLayout)
        fail(what, fmt::format("its panels are of layout {}, and this build computes with {}", layout, kPanelLayout));
    const auto n = tail.read<std::uint32_t>("the number of entries");
    const auto table_at = tail.read<std::uint64_t>("the place of the table");
    if (const auto size = tail.read<std::uint64_t>("the size"); size != file.size())
        fail(what, fmt::format("it has {} bytes where its end says {}", file.size(), size));
    if (tail.bytes(kKeyBytes) != key) fail(what, "it was made from other files");
    if (table_at > tail_at) fail(what, "its table would lie behind its end");

    Cursor in(file.subspan(table_at, tail_at - table_at), what);
    in.set_context("table");
    in.check_count(n, kLeastEntry, "entries");
    std::vector<PanelEntry> entries;
    entries.reserve(n);
    std::uint64_t next = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        entries.push_back(read_entry(in, what));
        const PanelEntry& e = entries.back();
        if (e.at != next) fail(what, fmt::format("the panels of '{}' are not where they must be", e.facts.name));
        if (e.facts.bytes > table_at - next) fail(what, fmt::format("the panels of '{}' are cut off", e.facts.name));
        next = aligned(next + e.facts.bytes);
        if (next > table_at) fail(what, fmt::format("the panels of '{}' are cut off", e.facts.name));
    }
    if (next != table_at || in.left() != 0) fail(what, "its table does not cover it");
    return entries;
}

std::shared_ptr<const PanelFile> PanelFile::open(const std::filesystem::path& path, std::string_view key) {
    auto opened = std::make_shared<PanelFile>();
    opened->file_ = MappedFile::open(path);
    const std::span<const std::byte> bytes = opened->file_->bytes();
    for (PanelEntry& e : parse_panel_table(bytes, key, path.string())) {
        std::string name = e.facts.name;
        if (!opened->entries_.emplace(std::move(name), std::move(e)).second)
            fail(path.string(), "a weight is in it twice");
    }
    ask_for(bytes);
    return opened;
}

std::shared_ptr<const std::byte> PanelFile::find(const PanelFacts& facts) const {
    const auto it = entries_.find(facts.name);
    if (it == entries_.end() || it->second.facts != facts) return nullptr;
    return {file_, file_->bytes().data() + it->second.at};
}

std::vector<std::string> PanelFile::names() const {
    std::vector<std::string> out;
    out.reserve(entries_.size());
    for (const auto& [name, entry] : entries_) out.push_back(name);
    return out;
}

void PanelFile::verify() const {
    const std::span<const std::byte> bytes = file_->bytes();
    const std::size_t body = bytes.size() - kDigestBytes;
    if (sha256_hex(bytes.first(body)) != text_at(bytes, body, kDigestBytes))
        fail(file_->path().string(), "its bytes have another digest than its end says");
}

PanelFileWriter::PanelFileWriter(const std::filesystem::path& path, std::string_view key) : file_(path), key_(key) {
    if (key_.size() != kKeyBytes) throw Error(ErrorKind::internal, "A key of panels has 64 digits.");
}

void PanelFileWriter::flush() {
    hash_.update(gathered_);
    file_.write(gathered_);
    gathered_.clear();
}

void PanelFileWriter::put(std::span<const std::byte> bytes) {
    size_ += bytes.size();
    gathered_.reserve(kGather);
    while (!bytes.empty()) {
        const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), kGather - gathered_.size()));
        gathered_.insert(gathered_.end(), part.begin(), part.end());
        if (gathered_.size() == kGather) flush();
        bytes = bytes.subspan(part.size());
    }
}

void PanelFileWriter::add(const PanelFacts& facts, std::span<const std::byte> panels) {
    entries_.push_back({facts, size_});
    put(panels);
    constexpr std::array<std::byte, kAlign> kZeros{};
    put(std::span(kZeros).first(aligned(size_) - size_));
}

std::uint64_t PanelFileWriter::finish() {
    const std::uint64_t table_at = size_;
    std::vector<std::byte> end;
    for (const PanelEntry& e : entries_) {
        append(end, std::uint64_t{e.facts.name.size()});
        append(end, e.facts.name.data(), e.facts.name.size());
        append(end, static_cast<std::uint8_t>(e.facts.dtype));
        append(end, e.facts.profile);
        for (const std::uint64_t number : {e.facts.rows, e.facts.cols, e.facts.source_offset, e.facts.bytes, e.at})
            append(end, number);
    }
    append(end, kMagic.data(), kMagic.size());
    append(end, kPanelLayout);
    append(end, static_cast<std::uint32_t>(entries_.size()));
    append(end, table_at);
    append(end, table_at + end.size() + 8 + kKeyBytes + kDigestBytes);
    append(end, key_.data(), key_.size());
    put(end);
    flush();
    const std::string digest = hash_.hex();
    file_.write(digest);
    file_.commit();
    return file_.written();
}

}  // namespace freehold
