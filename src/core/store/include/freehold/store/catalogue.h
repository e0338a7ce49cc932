// The models that Freehold knows by name: where to get them, what they weigh, what they may be used for.
// catalogue.json is built into the library; $FREEHOLD_HOME/catalogue.json, if it exists, adds entries and replaces
// those of the same name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/store/store.h"

namespace freehold {

struct CatalogueFile {
    std::string path;        // final relative name
    std::uint64_t size = 0;  // bytes
    std::string sha256;      // hex, of the final file (parts joined)
};

struct CatalogueEntry {
    std::string name;                  // "smollm2:135m"
    std::vector<std::string> aliases;  // "smollm2"
    std::string description;           // one line
    std::string good_for;              // one line: what to use it for, and what not
    std::string kind;                  // "chat", "base", "embedding"
    std::uint64_t parameters = 0;
    std::uint64_t context = 0;
    Licence licence;
    std::vector<std::string> sources;  // in order of preference, forms of SourceSpec::parse
    std::vector<CatalogueFile> files;  // may be empty: whatever the source brings
    [[nodiscard]] std::uint64_t size() const noexcept;
};

class Catalogue {
 public:
    // Built-in entries and the user's own. Throws Error{bad_file} that names the user's file and the entry at fault.
    static Catalogue load(const std::filesystem::path& home);
    // Only what the text says; `what` names it in messages. For tests and tools.
    static Catalogue parse(std::string_view json, std::string_view what);

    [[nodiscard]] const std::vector<CatalogueEntry>& entries() const noexcept { return entries_; }
    // By name or alias; the tag "latest" may be left out. nullptr if not known.
    [[nodiscard]] const CatalogueEntry* find(std::string_view name) const noexcept;
    // Names that differ from `name` by little, nearest first; for hints.
    [[nodiscard]] std::vector<std::string> near(std::string_view name, std::size_t at_most = 3) const;

 private:
    std::vector<CatalogueEntry> entries_;
};

}  // namespace freehold
