// The catalogue: built-in text and the user's own file, read by the same strict rules, so that a wrong entry is told
// with its name before anybody pulls it.
#include "freehold/store/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalogue_text.h"
#include "disk.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/store/source.h"
#include "json.h"
#include "layout.h"
#include "near.h"

namespace freehold {
namespace {

constexpr std::uint64_t kMaxCatalogue = 64 << 20;

[[noreturn]] void bad(const std::string& what, const std::string& message) {
    throw Error(ErrorKind::bad_file, fmt::format("{}: {}", what, message), "Mend the entry, or take the file away.");
}

Licence read_licence(const ValueMap& map, const std::string& what) {
    Licence out = classify_licence(json::text(map, "id", what));
    const std::string category = json::text(map, "category", what, false);
    if (!category.empty()) {
        bool known = false;
        for (const auto c : {LicenceCategory::unknown, LicenceCategory::permissive, LicenceCategory::copyleft,
                             LicenceCategory::non_commercial, LicenceCategory::custom}) {
            if (category != licence_category_name(c)) continue;
            out.category = c;
            known = true;
        }
        if (!known) bad(what, fmt::format("the licence category \"{}\" is not known.", category));
    }
    out.url = json::text(map, "url", what, false);
    return out;
}

CatalogueFile read_file(const ValueMap& map, const std::string& what) {
    CatalogueFile out;
    out.path = json::text(map, "path", what);
    const std::string fault = layout::path_fault(out.path);
    if (!fault.empty()) bad(what, fmt::format("the file name \"{}\" is refused: {}.", printable(out.path), fault));
    out.size = json::size(map, "size", what, false);
    out.sha256 = json::text(map, "sha256", what, false);
    if (!out.sha256.empty() && !layout::is_hex64(out.sha256))
        bad(what, fmt::format("the sha256 of \"{}\" is not 64 lower-case hex digits.", out.path));
    return out;
}

template <class F>
void each(const ValueMap& map, std::string_view key, const std::string& what, bool required, F&& use) {
    const Value* list = json::list(map, key, what, required);
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) use(list->at(i), fmt::format("{}[{}]", key, i));
}

std::string text_of(const Value& value, const std::string& what, const std::string& where) {
    if (!value.as_string()) bad(what, fmt::format("{} must be a text.", where));
    return std::string(*value.as_string());
}

std::string checked_name(const std::string& text, const std::string& what) {
    const auto name = ModelName::try_parse(text);
    if (!name) bad(what, fmt::format("\"{}\" is not a model name.", printable(text)));
    return name->tag == "latest" ? name->name : name->str();
}

CatalogueEntry read_entry(const ValueMap& map, const std::string& file) {
    CatalogueEntry out;
    out.name = checked_name(json::text(map, "name", file), file);
    const std::string what = fmt::format("{}, entry {}", file, out.name);
    each(map, "aliases", what, false, [&](const Value& v, const std::string& where) {
        out.aliases.push_back(checked_name(text_of(v, what, where), what));
    });
    out.description = json::text(map, "description", what, false);
    out.good_for = json::text(map, "good_for", what, false);
    out.kind = json::text(map, "kind", what, false);
    out.parameters = json::size(map, "parameters", what, false);
    out.context = json::size(map, "context", what, false);
    if (const ValueMap* licence = json::maybe_object(map, "licence", what)) out.licence = read_licence(*licence, what);
    each(map, "sources", what, true, [&](const Value& v, const std::string& where) {
        const std::string source = text_of(v, what, where);
        try {
            static_cast<void>(SourceSpec::parse(source));
        } catch (const Error& e) {
            bad(what, e.message());
        }
        out.sources.push_back(source);
    });
    if (out.sources.empty()) bad(what, "it names no source.");
    std::set<std::string> paths;
    each(map, "files", what, false, [&](const Value& v, const std::string& where) {
        out.files.push_back(read_file(json::object(v, what, where), what));
        if (!paths.insert(out.files.back().path).second)
            bad(what, fmt::format("the file \"{}\" comes twice.", out.files.back().path));
    });
    return out;
}

bool answers_to(const CatalogueEntry& entry, const std::string& name) {
    return entry.name == name || std::find(entry.aliases.begin(), entry.aliases.end(), name) != entry.aliases.end();
}

}  // namespace

std::uint64_t CatalogueEntry::size() const noexcept {
    std::uint64_t out = 0;
    for (const CatalogueFile& file : files) out += file.size;
    return out;
}

Catalogue Catalogue::parse(std::string_view text, std::string_view what) {
    const std::string file(what);
    const Value tree = parse_json(text, file);
    const ValueMap& map = json::object(tree, file, "the document");
    const std::uint64_t version = json::size(map, "version", file);
    if (version != 1)
        throw Error(ErrorKind::unsupported,
                    fmt::format("{}: version {} is not known here; this build reads version 1.", file, version),
                    "Use a newer Freehold, or an older catalogue.");
    Catalogue out;
    std::set<std::string> names;
    each(map, "models", file, true, [&](const Value& v, const std::string& where) {
        CatalogueEntry entry = read_entry(json::object(v, file, where), file);
        std::vector<std::string> mine = entry.aliases;
        mine.push_back(entry.name);
        for (const std::string& name : mine)
            if (!names.insert(name).second) bad(file, fmt::format("the name {} is given twice.", name));
        out.entries_.push_back(std::move(entry));
    });
    return out;
}

Catalogue Catalogue::load(const std::filesystem::path& home) {
    Catalogue out = parse(detail::catalogue_text(), "the built-in catalogue");
    const std::filesystem::path own = home / "catalogue.json";
    if (!disk::facts(own)) return out;
    const Catalogue users = parse(read_text(own, kMaxCatalogue), own.string());
    for (const CatalogueEntry& entry : users.entries_) {
        // The user's word wins: an entry of that name goes, and aliases that now lead elsewhere with it.
        std::erase_if(out.entries_, [&](const CatalogueEntry& e) { return e.name == entry.name; });
        for (CatalogueEntry& other : out.entries_)
            std::erase_if(other.aliases, [&](const std::string& alias) { return answers_to(entry, alias); });
        out.entries_.push_back(entry);
    }
    return out;
}

const CatalogueEntry* Catalogue::find(std::string_view name) const noexcept {
    const auto parsed = ModelName::try_parse(name);
    if (!parsed) return nullptr;
    const std::string wanted = parsed->tag == "latest" ? parsed->name : parsed->str();
    // The user's entries come last and win over aliases of the built-in ones.
    for (auto it = entries_.rbegin(); it != entries_.rend(); ++it)
        if (answers_to(*it, wanted)) return &*it;
    return nullptr;
}

std::vector<std::string> Catalogue::near(std::string_view name, std::size_t at_most) const {
    std::vector<std::string> names;
    for (const CatalogueEntry& entry : entries_) {
        names.push_back(entry.name);
        names.insert(names.end(), entry.aliases.begin(), entry.aliases.end());
    }
    return detail::nearest(name, names, at_most);
}

}  // namespace freehold
