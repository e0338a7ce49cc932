// The files of a bundle wherever it lies: a folder, a tar archive that is read without unpacking, a stored model.
// What has no place in a bundle (links, devices, names that climb out, names twice) becomes a fault, never a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/file.h"
#include "freehold/base/progress.h"
#include "freehold/store/store.h"

namespace freehold::bundle {

struct Entry {
    std::string name;          // relative, '/' between parts
    std::filesystem::path at;  // the file that holds it
    std::uint64_t offset = 0;  // of its first byte there
    std::uint64_t size = 0;
    std::string stored_digest;  // "sha256:..." of a stored model's manifest; else empty
};

struct Contents {
    std::string name;                  // as it was asked for
    std::vector<Entry> entries;        // by the bytes of their names
    std::vector<std::string> faults;   // sentences
    std::vector<std::string> skipped;  // folders that were not looked into: git's own at the root

    [[nodiscard]] const Entry* find(std::string_view entry) const noexcept;
};

inline constexpr std::size_t kMaxEntries = 100'000;

// A folder, or a tar archive (a file whose bytes say so). Error{not_found|io|bad_file|limit}.
[[nodiscard]] Contents contents_of_path(const std::filesystem::path& path);
[[nodiscard]] Contents contents_of_model(const Store& store, const StoredModel& model);

// Is this an archive by its first bytes?
[[nodiscard]] bool is_tar(std::span<const std::byte> bytes) noexcept;
// The entries of an archive; `at` is the file that holds the bytes. Read are ustar's plain files and folders, and pax
// headers with path, size and times; every other entry is a fault. Error{bad_file} where the archive breaks off or its
// sums are wrong, and for bytes after its end.
[[nodiscard]] Contents contents_of_tar(std::span<const std::byte> bytes, const std::filesystem::path& at);

// The bytes of one entry; Error{limit} above `max_bytes`.
[[nodiscard]] std::string read_entry(const Entry& entry, std::uint64_t max_bytes);
// SHA-256 of one entry, hex.
[[nodiscard]] std::string digest_entry(const Entry& entry, const Progress& progress);

}  // namespace freehold::bundle
