// How a stored model is opened: a single GGUF file is its blob; anything else gets a folder of links under views/,
// named by the manifest, made whole and renamed into place, and made again when a link no longer fits.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/store/store.h"
#include "store_files.h"

namespace freehold {

bool is_adapter(const ModelRecord& record) noexcept {
    const Value* const kind = record.extra.find("kind");
    return kind != nullptr && kind->as_string() == "adapter";
}
namespace fs = std::filesystem;
namespace detail {

void check_link(const StoredFile& file, const std::string& model) {
    const std::string path = file.linked_at->string();
    const auto known = disk::facts(*file.linked_at);
    if (!known)
        throw Error(ErrorKind::not_found,
                    fmt::format("{} of {} is used in place at {}, but it is gone.", file.path, model, path),
                    fmt::format("Put the file back, or forget the model with 'freehold rm {}'.", model));
    if (known->size != file.size || known->mtime_ns != file.linked_mtime_ns || !known->regular)
        throw Error(
            ErrorKind::conflict,
            fmt::format("{} of {} is used in place at {}, but it changed since it was linked.", file.path, model, path),
            fmt::format("If the change was meant, link it again: freehold pull --link {} --as {}.", path, model));
}

}  // namespace detail
namespace {

bool is_gguf(const StoredFile& file) {
    return file.path.ends_with(".gguf");
}

// Blobs become hard links where that works, so that a reader which follows links still sees a file of this folder.
void link_file(const fs::path& target, const fs::path& at, bool in_store) {
    disk::make_folders(at.parent_path());
    if (in_store && ::link(target.c_str(), at.c_str()) == 0) return;
    std::error_code ec;
    fs::create_symlink(target, at, ec);
    if (ec)
        throw Error(ErrorKind::io, fmt::format("Could not make the link {}: {}.", at.string(), ec.message()),
                    "Check who owns the folder, or set FREEHOLD_HOME to one that you may write.");
}

// The model's files and nothing else: a template or a shard put beside them would be read, and no digest covers it.
bool view_is_good(const Store& store, const StoredModel& model, const fs::path& view) {
    std::error_code ec;
    std::size_t found = 0;
    for (fs::recursive_directory_iterator it(view, ec), end; !ec && it != end; it.increment(ec))
        if (it->is_symlink(ec) || !it->is_directory(ec)) ++found;
    return !ec && found == model.files.size() &&
           std::all_of(model.files.begin(), model.files.end(), [&](const StoredFile& file) {
               return fs::equivalent(view / file.path, store.file_path(file), ec) && !ec;
           });
}

fs::path make_view(const Store& store, const StoredModel& model) {
    const fs::path view = detail::views_dir(store.home()) / model.digest.substr(7);
    if (view_is_good(store, model, view)) return view;
    const auto lock = detail::lock_store(store.home());
    if (view_is_good(store, model, view)) return view;
    fs::path building = view;
    building += ".building";
    disk::remove_tree(building);
    for (const StoredFile& file : model.files)
        link_file(store.file_path(file), building / file.path, !file.linked_at.has_value());
    disk::remove_tree(view);
    disk::move_durable(building, view);
    return view;
}

}  // namespace

fs::path Store::file_path(const StoredFile& file) const {
    return file.linked_at ? *file.linked_at : blob_path(file.digest);
}

fs::path Store::open_path(const StoredModel& model) const {
    const StoredFile* first_gguf = nullptr;
    std::size_t n_gguf = 0;
    for (const StoredFile& file : model.files) {
        if (file.linked_at) {
            detail::check_link(file, model.name.str());
        } else {
            const auto known = disk::facts(blob_path(file.digest));
            if (!known || known->size != file.size)
                throw Error(known ? ErrorKind::bad_file : ErrorKind::not_found,
                            fmt::format("{} of {} is {} the store ({}).", file.path, model.name.str(),
                                        known ? "damaged in" : "missing from", file.digest),
                            fmt::format("Fetch it again: freehold rm {0}, then freehold pull {1}.", model.name.str(),
                                        model.record.source.empty() ? model.name.str() : model.record.source));
        }
        if (!is_gguf(file)) continue;
        ++n_gguf;
        if (first_gguf == nullptr || file.path < first_gguf->path) first_gguf = &file;
    }
    if (n_gguf == 1) return file_path(*first_gguf);
    const fs::path view = make_view(*this, model);
    if (n_gguf > 1) return view / first_gguf->path;
    if (model.record.container == "llama2c") {
        for (const StoredFile& file : model.files) {
            const std::string leaf = fs::path(file.path).filename().string();
            if (file.path.ends_with(".bin") && !leaf.starts_with("tok")) return view / file.path;
        }
    }
    return view;
}

}  // namespace freehold
