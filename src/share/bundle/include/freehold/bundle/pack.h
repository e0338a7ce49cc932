// A model with everything that another team needs to use, check, study and pass it on, as one folder or one tar file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/bundle/facts.h"
#include "freehold/bundle/signature.h"
#include "freehold/store/store.h"

namespace freehold::bundle {

// A document that somebody else made (the openness report, a scan), to go into documents/.
struct Document {
    std::string role;        // "openness"
    std::string file_name;   // "openness.json"; lies in documents/
    std::string media_type;  // "application/json"
    std::string bytes;
};

struct PackSource {
    std::string name;                                                  // as it is called in the documents
    std::vector<std::pair<std::string, std::filesystem::path>> files;  // name in the model, where it lies
    std::optional<StoredModel> stored;                                 // whose digests, record and lineage are taken
};
// The source of a stored model, or of a folder or a single file. Error{not_found|bad_file}.
[[nodiscard]] PackSource source_of_model(const Store& store, const StoredModel& model);
[[nodiscard]] PackSource source_of_path(const std::filesystem::path& path);

struct PackOptions {
    std::filesystem::path out;      // a folder that does not exist, or a name that ends in .tar
    std::optional<PrivateKey> key;  // none: no signature
    Facts facts;
    std::vector<Document> more;
    // Seconds since 1970 that stand in the documents. Not set: when the version came into the store, else now.
    std::optional<std::int64_t> time;
    std::string tool_version;      // of this program
    const Store* store = nullptr;  // for the lineage; null: what the files say
    bool replace = false;          // a tar file of that name may go
    Progress progress;
};

// What is not known and therefore missing in a document, as a sentence for people.
struct Gap {
    std::string document, what;
};

struct PackedDocument {
    std::string path, role, media_type;
    std::uint64_t size = 0;
};

struct PackPlan {
    std::uint64_t files = 0, bytes = 0;  // of the whole bundle, the signature aside
    std::vector<PackedDocument> documents;
    std::vector<Gap> gaps;
};

struct PackResult {
    PackPlan plan;
    std::string root;  // SHA-256 over all digests, hex: what is signed
    std::string key_hint;
};

// Everything but the writing; digests are taken where they are not known. Immutable afterwards.
class Pack {
 public:
    // Error{usage|bad_file|conflict|io}; nothing is written.
    static Pack prepare(const PackSource& source, const PackOptions& options);
    [[nodiscard]] const PackPlan& plan() const noexcept { return plan_; }
    // Writes under a temporary name beside `out`, then puts it in place. Error{io|conflict|bad_file|cancelled}; then
    // nothing is left behind. A file that is not what its digest says is Error{bad_file}.
    PackResult write(const PackOptions& options) const;

 private:
    struct Item {
        std::string path, role, media_type, sha256;
        std::uint64_t size = 0;
        std::filesystem::path at;  // empty: `bytes` hold it
        std::string bytes;
    };
    [[nodiscard]] std::string signature_for(const PackOptions& options, PackResult& result) const;
    void write_folder(const std::filesystem::path& out, const std::string& signature, const Progress& progress) const;
    void write_tar(const std::filesystem::path& out, const std::string& signature, const Progress& progress) const;
    std::string name_;
    std::int64_t time_ = 0;
    std::vector<Item> items_;  // by the bytes of their paths
    PackPlan plan_;
};

}  // namespace freehold::bundle
