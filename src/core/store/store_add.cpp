// How a model comes into the store: files are staged and hashed without any lock, then blobs, manifest and index entry
// are put in place under the lock, in this order, so that a kill leaves at most blobs that nobody names.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/store/store.h"
#include "store_files.h"

namespace freehold {
namespace detail {
namespace {

std::string random_hex() {
    std::array<unsigned char, 8> bytes{};
    if (::getentropy(bytes.data(), bytes.size()) != 0)
        throw Error(ErrorKind::io, "The system gives no random numbers.");
    std::string out;
    for (const unsigned char b : bytes) out += fmt::format("{:02x}", b);
    return out;
}

}  // namespace

// Made under the store's lock, so that a sweep never meets a folder whose lock is not yet taken.
Staging::Staging(const fs::path& home) {
    dir_ = home / "partial" / fmt::format("{}{}", kStagePrefix, random_hex());
    const auto guard = lock_store(home);
    drop_dead_stages(home);
    disk::make_folders(dir_);
    lock_ = disk::FileLock::wait(dir_ / "lock");
}

Staging::~Staging() {
    disk::remove_tree(dir_);
}

}  // namespace detail

namespace fs = std::filesystem;
namespace {

struct Staged {
    StoredFile file;
    fs::path at;  // to be moved to its blob; empty: linked
};

void check_names(const std::vector<NewFile>& files) {
    if (files.empty()) throw Error(ErrorKind::usage, "A model needs at least one file.");
    if (files.size() > layout::kMaxFiles)
        throw Error(ErrorKind::limit, fmt::format("A model of {} files is more than the {} that a manifest lists.",
                                                  files.size(), layout::kMaxFiles));
    std::set<std::string> seen;
    for (const NewFile& file : files) {
        const std::string fault = layout::path_fault(file.path);
        if (!fault.empty())
            throw Error(ErrorKind::bad_file,
                        fmt::format("The file name \"{}\" is refused: {}.", printable(file.path), fault),
                        "Rename the file in its source.");
        if (!seen.insert(file.path).second)
            throw Error(ErrorKind::bad_file, fmt::format("The file name \"{}\" comes twice.", file.path));
    }
}

void check_digest(const NewFile& file, const std::string& hex) {
    if (file.digest.empty() || file.digest == "sha256:" + hex) return;
    throw Error(ErrorKind::bad_file,
                fmt::format("{} is not what was expected: its digest is sha256:{}, not {}.", file.at.string(), hex,
                            file.digest),
                "The file was changed or damaged on its way; fetch it again, or from another source.");
}

disk::FileFacts facts_of(const NewFile& file) {
    const auto known = disk::facts(file.at);
    if (!known) throw Error(ErrorKind::not_found, fmt::format("{} does not exist.", file.at.string()));
    if (!known->regular)
        throw Error(ErrorKind::bad_file, fmt::format("{} is not a regular file.", file.at.string()),
                    "Name a model file.");
    return *known;
}

std::string hash_of(const NewFile& file, const Progress& progress) {
    if (file.digest_known && layout::is_digest(file.digest)) return file.digest.substr(7);
    return sha256_file(file.at, [&](std::uint64_t done, std::uint64_t total) {
        if (progress) progress({"hashing " + file.path, done, total, "B"});
    });
}

Staged stage_link(const NewFile& file, const Progress& progress) {
    const disk::FileFacts before = facts_of(file);
    Staged out;
    const std::string hex = hash_of(file, progress);
    check_digest(file, hex);
    const disk::FileFacts after = facts_of(file);
    if (before.size != after.size || before.mtime_ns != after.mtime_ns)
        throw Error(ErrorKind::conflict, fmt::format("{} changed while it was read.", file.at.string()),
                    "Wait until whoever writes it is done, then try again.");
    out.file = {file.path,     layout::media_type_for(file.path), "sha256:" + hex, after.size, fs::canonical(file.at),
                after.mtime_ns};
    return out;
}

class Adding {
 public:
    Adding(const Store& store, const detail::Staging& stage, const Progress& progress)
        : store_(store), stage_(stage), progress_(progress) {
        std::error_code ec;
        for (const auto& entry : fs::directory_iterator(detail::blobs_dir(store.home()), ec)) {
            if (entry.is_regular_file(ec)) sizes_.insert(entry.file_size(ec));
        }
    }

    Staged stage(const NewFile& file) {
        if (file.how == NewFile::How::link) return stage_link(file, progress_);
        Staged out;
        out.file.path = file.path;
        out.file.media_type = layout::media_type_for(file.path);
        const fs::path here = stage_.dir() / std::to_string(count_++);
        if (file.digest_known && keep_blob(file.digest, here)) {
            out.file.digest = file.digest;
            out.file.size = disk::facts(here)->size;
            out.at = here;
            return out;
        }
        const disk::FileFacts known = facts_of(file);
        out.file.size = known.size;
        // Perhaps the content is here already under another name: then reading is enough.
        if (file.how == NewFile::How::move || sizes_.contains(known.size)) {
            const std::string hex = hash_of(file, progress_);
            check_digest(file, hex);
            out.file.digest = "sha256:" + hex;
            if (keep_blob(out.file.digest, here)) {
                out.at = here;
                return out;
            }
            if (file.how == NewFile::How::move && ::rename(file.at.c_str(), here.c_str()) == 0) {
                out.at = here;
                return out;
            }
        }
        disk::need_space(stage_.dir(), known.size, file.path);
        const disk::Copied copied = disk::copy_hashing(file.at, here, progress_, "copying " + file.path);
        check_digest(file, copied.sha256);
        out.file.digest = "sha256:" + copied.sha256;
        out.file.size = copied.size;
        out.at = here;
        return out;
    }

 private:
    // A second link to a blob that is here keeps its content from a sweep until the manifest names it.
    bool keep_blob(const std::string& digest, const fs::path& here) const {
        if (!store_.has_blob(digest)) return false;
        return ::link(store_.blob_path(digest).c_str(), here.c_str()) == 0;
    }

    const Store& store_;
    const detail::Staging& stage_;
    const Progress& progress_;
    std::set<std::uint64_t> sizes_;
    int count_ = 0;
};

void place_blob(const Store& store, const Staged& staged) {
    if (staged.at.empty()) return;
    const fs::path blob = store.blob_path(staged.file.digest);
    const auto known = disk::facts(blob);
    // The same bytes from two files of one model: the first has been placed already.
    if (known && known->size == staged.file.size) return;
    if (::chmod(staged.at.c_str(), 0444) != 0 || ::rename(staged.at.c_str(), blob.c_str()) != 0)
        throw Error(ErrorKind::io,
                    fmt::format("Could not put {} into the store at {}.", staged.file.path, blob.string()),
                    "Check who owns the folder, and whether its disk is full.");
}

}  // namespace

StoredModel Store::add(const ModelName& name, const std::vector<NewFile>& files, const ModelRecord& record,
                       const Progress& progress) {
    check_names(files);
    prepare();
    const detail::Staging stage(home_);
    Adding adding(*this, stage, progress);
    std::vector<Staged> staged;
    staged.reserve(files.size());
    for (const NewFile& file : files) staged.push_back(adding.stage(file));

    layout::Manifest manifest;
    for (const Staged& s : staged) manifest.files.push_back(s.file);
    manifest.record = record;
    if (manifest.record.created.empty()) manifest.record.created = detail::now_rfc3339();
    const std::string config = layout::write_config(name.str(), manifest.record, manifest.files);
    manifest.config_size = config.size();

    const auto lock = detail::lock_store(home_);
    for (const Staged& s : staged) place_blob(*this, s);
    disk::sync_folder(detail::blobs_dir(home_));
    manifest.config_digest = detail::put_blob(home_, config);
    const std::string text = layout::write_manifest(manifest);
    layout::IndexEntry entry{name, detail::put_blob(home_, text), text.size()};
    layout::Index index = detail::read_index(home_);
    std::erase_if(index.entries, [&](const auto& e) { return e.name == name; });
    index.entries.push_back(entry);
    detail::write_index(home_, index);
    return detail::read_model(home_, name, entry.digest);
}

}  // namespace freehold
