// Repacked weights kept in a file, so that a start maps them and makes nothing. The same for every instruction set, and
// shared by all processes that map it. The format is told in docs/formats.md; what the bytes of panels mean is the
// kernels' business (kernels.h), and kPanelLayout changes with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/tensor/dtype.h"

namespace freehold {

// Of the panels and of what their names stand for. A file of another number is of no use and is made again.
inline constexpr std::uint32_t kPanelLayout = 1;

// What a run of panels was made from. A reader asks by name and takes the panels only if all of it is as it would be if
// it made them itself.
struct PanelFacts {
    std::string name;           // the weight's role: "layers.3.attn.q"
    DType dtype = DType::None;  // of the tensor
    std::uint8_t profile = 0;   // under which they were made; the number of a Profile
    std::uint64_t rows = 0, cols = 0;
    std::uint64_t source_offset = 0;  // of the tensor's first byte, in its file
    std::uint64_t bytes = 0;          // of all panels of the weight
    friend bool operator==(const PanelFacts&, const PanelFacts&) = default;
};

struct PanelEntry {
    PanelFacts facts;
    std::uint64_t at = 0;  // offset in the panel file, a multiple of 64
};

// The table of a panel file, from all its bytes: hostile until it has passed here. `key` is the digest of what the
// panels were made from, 64 hexadecimal digits. Throws Error{bad_file} that says what is off.
[[nodiscard]] std::vector<PanelEntry> parse_panel_table(std::span<const std::byte> file, std::string_view key,
                                                        const std::string& what);

// A panel file mapped for reading. Immutable; any thread may read it.
class PanelFile {
 public:
    // Throws Error{not_found}, or Error{bad_file} for one that is damaged, of another layout or of another key.
    static std::shared_ptr<const PanelFile> open(const std::filesystem::path& path, std::string_view key);

    // The panels that were made from exactly this, alive as long as the pointer; null when there are none.
    [[nodiscard]] std::shared_ptr<const std::byte> find(const PanelFacts& facts) const;
    // Of all weights that have panels in it, sorted.
    [[nodiscard]] std::vector<std::string> names() const;
    [[nodiscard]] std::uint64_t size() const noexcept { return file_->bytes().size(); }
    // Reads every byte against the digest at the end: damage is found, a change that renews the digest is not
    // (compare_panels() in models is for that). Throws Error{bad_file}.
    void verify() const;

 private:
    std::shared_ptr<const MappedFile> file_;
    std::map<std::string, PanelEntry, std::less<>> entries_;
};

// Writes one: weight by weight, to a temporary name that finish() puts into place. Throws Error{io}.
class PanelFileWriter {
 public:
    PanelFileWriter(const std::filesystem::path& path, std::string_view key);
    void add(const PanelFacts& facts, std::span<const std::byte> panels);
    // Bytes of the whole file.
    std::uint64_t finish();

 private:
    void put(std::span<const std::byte> bytes);
    void flush();
    AtomicFile file_;
    std::string key_;
    Sha256 hash_;
    std::vector<std::byte> gathered_;
    std::uint64_t size_ = 0;
    std::vector<PanelEntry> entries_;
};

}  // namespace freehold
