// Panels beside the models: where they lie, what they take, and when they go.
// What is in them is the business of PanelFile; a model without them only starts slower.
#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/base/hash.h"
#include "freehold/store/store.h"
#include "store_files.h"

namespace freehold {
namespace detail {
namespace {

constexpr std::string_view kEnding = ".panels";
constexpr const char* kLockName = "lock";

// Temporary files of writers.
std::vector<fs::path> unfinished(const fs::path& home) {
    std::vector<fs::path> out;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(panels_dir(home), ec)) {
        const std::string name = entry.path().filename().string();
        if (name != kLockName && !name.ends_with(kEnding)) out.push_back(entry.path());
    }
    return out;
}

void drop(const fs::path& path, GcResult& result) {
    result.bytes += disk::remove_tree(path);
    ++result.files;
}

}  // namespace

std::string panel_key(const std::vector<StoredFile>& files) {
    std::vector<std::string> digests;
    digests.reserve(files.size());
    for (const StoredFile& file : files) digests.push_back(file.digest);
    std::sort(digests.begin(), digests.end());
    std::string list;
    for (const std::string& digest : digests) list += digest + "\n";
    return sha256_hex(std::as_bytes(std::span(list)));
}

std::vector<fs::path> panel_files(const fs::path& home, const std::string& key) {
    std::vector<fs::path> out;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(panels_dir(home), ec)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(key + ".") && name.ends_with(kEnding)) out.push_back(entry.path());
    }
    std::sort(out.begin(), out.end());
    return out;
}

void sweep_panels(const fs::path& home, const std::set<std::string>& keep, GcResult& result) {
    std::error_code ec;
    std::vector<fs::path> doomed;
    for (const auto& entry : fs::directory_iterator(panels_dir(home), ec)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(kEnding) && !keep.contains(name.substr(0, name.find('.')))) doomed.push_back(entry.path());
    }
    for (const fs::path& path : doomed) drop(path, result);
    // A temporary file may be growing at this moment; then its writer has the turn.
    if (unfinished(home).empty()) return;
    if (const auto lock = disk::FileLock::try_take(panels_dir(home) / kLockName))
        for (const fs::path& path : unfinished(home)) drop(path, result);
}

}  // namespace detail

struct PanelTurn::Lock {
    disk::FileLock lock;
};

PanelTurn::PanelTurn(std::unique_ptr<Lock> lock) noexcept : lock_(std::move(lock)) {}
PanelTurn::~PanelTurn() = default;
PanelTurn::PanelTurn(PanelTurn&&) noexcept = default;

std::optional<PanelTurn> PanelTurn::try_take(const std::filesystem::path& home) {
    disk::make_folders(detail::panels_dir(home));
    auto lock = disk::FileLock::try_take(detail::panels_dir(home) / detail::kLockName);
    if (!lock) return std::nullopt;
    GcResult ignored;  // nobody else writes: what lies there was left by a killed writer
    for (const auto& path : detail::unfinished(home)) detail::drop(path, ignored);
    return PanelTurn(std::make_unique<Lock>(Lock{std::move(*lock)}));
}

std::filesystem::path Store::panels_path(const StoredModel& model) const {
    return detail::panels_dir(home_) / detail::panel_key(model.files);
}

std::uint64_t Store::panel_bytes(const StoredModel& model) const {
    std::uint64_t bytes = 0;
    for (const auto& path : detail::panel_files(home_, detail::panel_key(model.files)))
        if (const auto known = disk::facts(path)) bytes += known->size;
    return bytes;
}

}  // namespace freehold
