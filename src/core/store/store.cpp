// The store as its readers see it: open, list, find, and the small changes of names. No lock is taken for reading,
// since index.json is only ever replaced whole and blobs never change.
#include "freehold/store/store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <pwd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/store/version.h"
#include "near.h"
#include "store_files.h"

namespace freehold {
namespace detail {

disk::FileLock lock_store(const fs::path& home) {
    return disk::FileLock::wait(home / "lock");
}

layout::Index read_index(const fs::path& home) {
    const fs::path path = index_path(home);
    if (!disk::facts(path)) return {};
    return layout::parse_index(read_text(path, layout::kMaxIndex), path.string());
}

void write_index(const fs::path& home, const layout::Index& index) {
    write_text_atomic(index_path(home), layout::write_index(index));
}

const layout::IndexEntry* find_entry(const layout::Index& index, const ModelName& name) {
    const auto it =
        std::find_if(index.entries.begin(), index.entries.end(), [&](const auto& e) { return e.name == name; });
    return it == index.entries.end() ? nullptr : &*it;
}

StoredModel read_model(const fs::path& home, const ModelName& name, std::string_view digest) {
    const std::string hex(layout::checked_digest(digest, "the index").substr(7));
    const fs::path path = blobs_dir(home) / hex;
    const auto known = disk::facts(path);
    const std::string hint = "Fetch the model again with 'freehold pull', or remove its name with 'freehold rm'.";
    if (!known)
        throw Error(ErrorKind::not_found, fmt::format("The manifest {} of {} is not in the store.", digest, name.str()),
                    hint);
    const std::string text = read_text(path, layout::kMaxManifest);
    if (sha256_hex(std::as_bytes(std::span(text))) != hex)
        throw Error(
            ErrorKind::bad_file,
            fmt::format("The manifest {} of {} is damaged: its bytes have another digest.", path.string(), name.str()),
            hint);
    layout::Manifest manifest = layout::parse_manifest(text, path.string());
    StoredModel model;
    model.name = name;
    model.digest = std::string(digest);
    model.record = std::move(manifest.record);
    model.files = std::move(manifest.files);
    for (const StoredFile& file : model.files) model.size += file.size;
    return model;
}

std::string put_blob(const fs::path& home, std::string_view text) {
    const std::string hex = sha256_hex(std::as_bytes(std::span(text)));
    const fs::path path = blobs_dir(home) / hex;
    const auto known = disk::facts(path);
    if (!known || known->size != text.size()) write_text_atomic(path, text);
    return "sha256:" + hex;
}

std::string now_rfc3339() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                       utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::string quoted_list(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
    return out;
}

}  // namespace detail

namespace fs = std::filesystem;

bool is_version(const StoredModel& model, std::string_view manifest_digest) {
    if (model.digest == manifest_digest) return true;
    const Value* const known = model.record.extra.find("versions");
    for (std::size_t i = 0; known != nullptr && i < known->size(); ++i)
        if (const Value one = known->at(i); one.as_string() == manifest_digest) return true;
    return false;
}

fs::path default_home() {
    const auto variable = [](const char* name) -> std::string {
        const char* value = std::getenv(name);
        return value == nullptr ? "" : value;
    };
    if (const std::string home = variable("FREEHOLD_HOME"); !home.empty()) return fs::absolute(home);
    // The XDG rules: a relative value is to be ignored.
    if (const std::string data = variable("XDG_DATA_HOME"); !data.empty() && data.front() == '/')
        return fs::path(data) / "freehold";
    if (const std::string home = variable("HOME"); !home.empty())
        return fs::path(home) / ".local" / "share" / "freehold";
    // Without an environment (cron, env -i) the user's entry says where home is.
    std::array<char, 4096> memory{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(::getuid(), &entry, memory.data(), memory.size(), &found) == 0 && found != nullptr &&
        found->pw_dir != nullptr && found->pw_dir[0] == '/')
        return fs::path(found->pw_dir) / ".local" / "share" / "freehold";
    throw Error(ErrorKind::usage, "There is no place for models: neither FREEHOLD_HOME, XDG_DATA_HOME nor HOME is set.",
                "Set FREEHOLD_HOME to a folder with room for them.");
}

Store Store::open(const fs::path& home) {
    Store store(home);
    const auto known = disk::facts(home / "oci-layout");
    if (known) {
        layout::check_layout_file(read_text(home / "oci-layout", 4096), (home / "oci-layout").string());
        return store;
    }
    std::error_code ec;
    if (fs::exists(home, ec) && !fs::is_directory(home, ec))
        throw Error(ErrorKind::bad_file, fmt::format("{} is not a folder, so it cannot hold models.", home.string()),
                    "Set FREEHOLD_HOME to another folder.");
    return store;  // its folders are made by what writes
}

void Store::prepare() const {
    disk::make_folders(detail::blobs_dir(home_));
    disk::make_folders(detail::views_dir(home_));
    disk::make_folders(partial_dir());
    if (!disk::facts(home_ / "oci-layout"))
        write_text_atomic(home_ / "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}\n");
}

std::vector<StoredModel> Store::list() const {
    std::vector<StoredModel> out;
    for (const layout::IndexEntry& entry : detail::read_index(home_).entries) {
        try {
            out.push_back(detail::read_model(home_, entry.name, entry.digest));
        } catch (const Error&) {
            continue;  // verify() tells what is wrong with it; the others stay usable
        }
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
}

std::optional<StoredModel> Store::find(const ModelName& name) const {
    const layout::Index index = detail::read_index(home_);
    const auto* entry = detail::find_entry(index, name);
    if (entry == nullptr) return std::nullopt;
    return detail::read_model(home_, entry->name, entry->digest);
}

StoredModel Store::get(const ModelName& name) const {
    if (auto model = find(name)) return *std::move(model);
    std::vector<std::string> names;
    for (const auto& entry : detail::read_index(home_).entries) names.push_back(entry.name.str());
    const auto close = detail::nearest(name.str(), names, 3);
    std::string hint =
        fmt::format("'freehold list' shows what is here; 'freehold pull {}' would fetch it.", name.str());
    if (!close.empty())
        hint = fmt::format("Did you mean {}? 'freehold list' shows what is here.", detail::quoted_list(close));
    throw Error(ErrorKind::not_found, fmt::format("There is no model {} in the store.", name.str()), hint);
}

StoredModel Store::get_by_digest(std::string_view manifest_digest) const {
    if (!layout::is_digest(manifest_digest))
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is not a digest.", printable(manifest_digest)),
                    "A digest is sha256: and 64 hex digits, as 'freehold show' prints it.");
    ModelName name;
    name.name = "untagged";
    for (const auto& entry : detail::read_index(home_).entries) {
        if (entry.digest == manifest_digest) name = entry.name;
    }
    return detail::read_model(home_, name, manifest_digest);
}

bool Store::has_blob(std::string_view digest) const {
    return layout::is_digest(digest) && disk::facts(blob_path(digest)).has_value();
}

fs::path Store::blob_path(std::string_view digest) const {
    return detail::blobs_dir(home_) / layout::checked_digest(digest, "a request for a blob").substr(7);
}

StoredModel Store::copy(const ModelName& from, const ModelName& to, bool overwrite) {
    prepare();
    const auto lock = detail::lock_store(home_);
    layout::Index index = detail::read_index(home_);
    const auto* source = detail::find_entry(index, from);
    if (source == nullptr) static_cast<void>(get(from));  // throws, with names that are near
    StoredModel model = detail::read_model(home_, from, source->digest);
    layout::IndexEntry entry = *source;
    entry.name = to;
    if (const auto* target = detail::find_entry(index, to)) {
        if (!overwrite && target->digest != entry.digest)
            throw Error(ErrorKind::conflict, fmt::format("There is another model named {} already.", to.str()),
                        fmt::format("Remove it first with 'freehold rm {}', or choose another name.", to.str()));
        std::erase_if(index.entries, [&](const auto& e) { return e.name == to; });
    }
    index.entries.push_back(entry);
    detail::write_index(home_, index);
    model.name = to;
    return model;
}

GcResult Store::remove(const ModelName& name) {
    prepare();
    const auto lock = detail::lock_store(home_);
    layout::Index index = detail::read_index(home_);
    if (detail::find_entry(index, name) == nullptr) static_cast<void>(get(name));  // throws, with names that are near
    std::erase_if(index.entries, [&](const auto& e) { return e.name == name; });
    detail::write_index(home_, index);
    return detail::sweep(home_);
}

GcResult Store::collect_garbage() {
    prepare();
    const auto lock = detail::lock_store(home_);
    return detail::sweep(home_);
}

}  // namespace freehold
