// What may go, and what is damaged. A sweep runs under the store's lock and keeps everything that an index entry, a
// live staging folder or an unreadable manifest might still need; verify() reads every byte and says what does not fit.
#include <fmt/format.h>

#include <chrono>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/formats/panel_file.h"
#include "freehold/store/store.h"
#include "store_files.h"

namespace freehold {
namespace fs = std::filesystem;
namespace detail {
namespace {

constexpr auto kPartialLife = std::chrono::hours(24 * 14);

// Every digest that a text names: right for manifests and nested indexes of any tool, and never too little.
std::set<std::string> digests_in(std::string_view text) {
    std::set<std::string> out;
    for (auto at = text.find("sha256:"); at != std::string_view::npos; at = text.find("sha256:", at + 7)) {
        const std::string_view digest = text.substr(at, 71);
        if (layout::is_digest(digest)) out.insert(std::string(digest.substr(7)));
    }
    return out;
}

// Marks a manifest (or a foreign nested index) and what it names. False when it cannot be read.
bool mark(const fs::path& home, const std::string& hex, int depth, std::set<std::string>& keep) {
    keep.insert(hex);
    const fs::path path = blobs_dir(home) / hex;
    const auto known = disk::facts(path);
    if (!known || known->size > layout::kMaxManifest) return false;
    const std::string text = read_text(path, layout::kMaxManifest);
    if (sha256_hex(std::as_bytes(std::span(text))) != hex) return false;
    const bool nested = depth > 0 && text.find(layout::kIndexType) != std::string::npos;
    bool good = true;
    for (const std::string& inner : digests_in(text)) {
        if (!keep.contains(inner) && nested) good = mark(home, inner, depth - 1, keep) && good;
        keep.insert(inner);
    }
    return good;
}

// The key of the panels that belong to an entry. False when its manifest cannot be read.
bool add_panel_key(const fs::path& home, const layout::IndexEntry& entry, std::set<std::string>& keys) {
    try {
        keys.insert(panel_key(read_model(home, entry.name, entry.digest).files));
        return true;
    } catch (const Error&) {
        return false;
    }
}

void drop(const fs::path& path, GcResult& result) {
    result.bytes += disk::remove_tree(path);
    ++result.files;
}

void sweep_blobs(const fs::path& home, const std::set<std::string>& keep, bool everything_known, GcResult& result) {
    std::error_code ec;
    std::vector<fs::path> doomed;
    for (const auto& entry : fs::directory_iterator(blobs_dir(home), ec)) {
        const std::string name = entry.path().filename().string();
        // A name that is no digest is the temporary file of a writer that died: live ones hold the lock that we hold.
        const bool debris = !layout::is_hex64(name);
        if (debris || (everything_known && !keep.contains(name))) doomed.push_back(entry.path());
    }
    for (const fs::path& path : doomed) drop(path, result);
}

void sweep_views(const fs::path& home, const std::set<std::string>& manifests, GcResult& result) {
    std::error_code ec;
    std::vector<fs::path> doomed;
    for (const auto& entry : fs::directory_iterator(views_dir(home), ec)) {
        if (!manifests.contains(entry.path().filename().string())) doomed.push_back(entry.path());
    }
    for (const fs::path& path : doomed) drop(path, result);
}

// Drops a stage whose process is gone. One that ends at this very moment removes itself, lock first; what cannot be
// looked at is left to the next sweep.
void drop_dead_stage(const fs::path& stage, GcResult& result) {
    try {
        if (const auto lock = disk::FileLock::try_take(stage / "lock")) drop(stage, result);
    } catch (const Error&) {
        return;
    }
}

void sweep_partial(const fs::path& home, GcResult& result) {
    std::error_code ec;
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(home / "partial", ec)) all.push_back(entry.path());
    const auto old = fs::file_time_type::clock::now() - kPartialLife;
    for (const fs::path& path : all) {
        const std::string name = path.filename().string();
        if (name.starts_with(kStagePrefix)) {
            drop_dead_stage(path, result);
            continue;
        }
        if (name.ends_with(".lock")) {
            // The lock of a download that is no longer there; a live one is held, or its folder is about to come.
            fs::path guarded = path;
            guarded.replace_extension();
            if (fs::exists(guarded, ec)) continue;
            if (const auto lock = disk::FileLock::try_take(path)) fs::remove(path, ec);
            continue;
        }
        // Downloads wait for the next try; those that nobody came back to for two weeks go.
        fs::path lock_path = path;
        lock_path += ".lock";
        if (fs::last_write_time(path, ec) < old && !ec) {
            if (const auto lock = disk::FileLock::try_take(lock_path)) {
                drop(path, result);
                fs::remove(lock_path, ec);
            }
        }
    }
}

}  // namespace

void drop_dead_stages(const fs::path& home) {
    std::error_code ec;
    std::vector<fs::path> stages;
    for (const auto& entry : fs::directory_iterator(home / "partial", ec))
        if (entry.path().filename().string().starts_with(kStagePrefix)) stages.push_back(entry.path());
    GcResult ignored;
    for (const fs::path& path : stages) drop_dead_stage(path, ignored);
}

GcResult sweep(const fs::path& home) {
    GcResult result;
    std::set<std::string> keep, manifests, panels;
    bool everything_known = true, panels_known = true;
    const layout::Index index = read_index(home);
    for (const auto& entry : index.entries) {
        manifests.insert(entry.digest.substr(7));
        everything_known = mark(home, entry.digest.substr(7), 0, keep) && everything_known;
        panels_known = add_panel_key(home, entry, panels) && panels_known;
    }
    for (const Value& foreign : index.foreign) {
        for (const std::string& hex : digests_in(to_json(foreign)))
            everything_known = mark(home, hex, 4, keep) && everything_known;
    }
    sweep_views(home, manifests, result);  // first, so that bytes with a second link are counted once
    sweep_blobs(home, keep, everything_known, result);
    if (panels_known) sweep_panels(home, panels, result);
    sweep_partial(home, result);
    return result;
}

}  // namespace detail
namespace {

StoreFault fault_of(const std::string& model, const std::string& file, const Error& e) {
    return {model, file, e.message(), e.hint()};
}

void verify_file(const Store& store, const StoredModel& model, const StoredFile& file, const Progress& progress,
                 std::set<std::string>& done, std::vector<StoreFault>& faults) {
    const std::string name = model.name.str();
    const fs::path path = store.file_path(file);
    if (!done.insert(path.string() + file.digest).second) return;
    try {
        if (file.linked_at) detail::check_link(file, name);
        if (!disk::facts(path))
            throw Error(ErrorKind::not_found,
                        fmt::format("{} of {} is missing from the store ({}).", file.path, name, file.digest));
        const std::string hex = sha256_file(path, [&](std::uint64_t at, std::uint64_t total) {
            if (progress) progress({"verifying " + file.path, at, total, "B"});
        });
        if ("sha256:" + hex != file.digest)
            throw Error(ErrorKind::bad_file,
                        fmt::format("{} of {} is damaged: its bytes have the digest sha256:{}, not {}.", file.path,
                                    name, hex, file.digest),
                        fmt::format("Fetch it again: freehold rm {0}, then pull it.", name));
    } catch (const Error& e) {
        if (e.kind() == ErrorKind::cancelled) throw;
        faults.push_back(fault_of(name, file.path, e));
    }
}

void verify_panels(const Store& store, const StoredModel& model, const Progress& progress, std::set<std::string>& done,
                   std::vector<StoreFault>& faults) {
    const std::string key = detail::panel_key(model.files);
    if (!done.insert(key).second) return;
    for (const fs::path& path : detail::panel_files(store.home(), key)) {
        try {
            if (progress) progress({"verifying panels", 0, 0, "B"});
            PanelFile::open(path, key)->verify();
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::cancelled) throw;
            faults.push_back({model.name.str(), path.filename().string(), e.message(),
                              fmt::format("Answers may be wrong until it is gone. Remove {}, or pull {} again.",
                                          path.string(), model.name.str())});
        }
    }
}

}  // namespace

std::vector<StoreFault> Store::verify(const std::optional<ModelName>& name, const Progress& progress) const {
    std::vector<StoreFault> faults;
    layout::Index index;
    try {
        index = detail::read_index(home_);
    } catch (const Error& e) {
        faults.push_back(fault_of({}, "index.json", e));
        return faults;
    }
    if (name && detail::find_entry(index, *name) == nullptr) static_cast<void>(get(*name));
    std::set<std::string> done;
    for (const auto& entry : index.entries) {
        if (name && entry.name != *name) continue;
        try {
            const StoredModel model = detail::read_model(home_, entry.name, entry.digest);
            for (const StoredFile& file : model.files) verify_file(*this, model, file, progress, done, faults);
            verify_panels(*this, model, progress, done, faults);
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::cancelled) throw;
            faults.push_back(fault_of(entry.name.str(), {}, e));
        }
    }
    return faults;
}

}  // namespace freehold
