// Where things lie inside a store, and the small steps that store.cpp, store_add.cpp, store_view.cpp and store_gc.cpp
// share. A caller that changes anything under blobs/, views/ or index.json holds the lock of lock_store().
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include "disk.h"
#include "freehold/store/store.h"
#include "layout.h"

namespace freehold::detail {

namespace fs = std::filesystem;

[[nodiscard]] inline fs::path index_path(const fs::path& home) {
    return home / "index.json";
}
[[nodiscard]] inline fs::path blobs_dir(const fs::path& home) {
    return home / "blobs" / "sha256";
}
[[nodiscard]] inline fs::path views_dir(const fs::path& home) {
    return home / "views";
}
[[nodiscard]] disk::FileLock lock_store(const fs::path& home);

// The index as it is now; an empty one if there is no file yet.
[[nodiscard]] layout::Index read_index(const fs::path& home);
void write_index(const fs::path& home, const layout::Index& index);
[[nodiscard]] const layout::IndexEntry* find_entry(const layout::Index& index, const ModelName& name);

// Reads a manifest blob, checks its digest, and makes the model of it. Error{bad_file|not_found}.
[[nodiscard]] StoredModel read_model(const fs::path& home, const ModelName& name, std::string_view digest);
// Writes a small blob and returns its digest. Needs the lock.
std::string put_blob(const fs::path& home, std::string_view text);
// Size and time of a linked file must be what they were. Error{not_found|conflict}.
void check_link(const StoredFile& file, const std::string& model);
// Removes what nothing refers to. Needs the lock.
GcResult sweep(const fs::path& home);

[[nodiscard]] inline fs::path panels_dir(const fs::path& home) {
    return home / "panels";
}
// 64 hexadecimal digits: the digest of the digests of the files.
[[nodiscard]] std::string panel_key(const std::vector<StoredFile>& files);
// The panel files of a key, whatever their profile.
[[nodiscard]] std::vector<fs::path> panel_files(const fs::path& home, const std::string& key);
// Removes panels of no key in `keep`, and what killed writers left. Needs the store's lock.
void sweep_panels(const fs::path& home, const std::set<std::string>& keep, GcResult& result);

// Stages of processes that were killed; under the store's lock.
void drop_dead_stages(const fs::path& home);

// A folder of this process under partial/, whose lock tells others that it is alive.
class Staging {
 public:
    explicit Staging(const fs::path& home);
    ~Staging();
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;
    [[nodiscard]] const fs::path& dir() const noexcept { return dir_; }

 private:
    fs::path dir_;
    std::optional<disk::FileLock> lock_;
};
inline constexpr const char* kStagePrefix = "stage-";

// "2026-01-02T03:04:05Z", now.
[[nodiscard]] std::string now_rfc3339();
[[nodiscard]] std::string quoted_list(const std::vector<std::string>& items);

}  // namespace freehold::detail
