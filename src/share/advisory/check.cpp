// Digests against digests. A model is hit through its ancestors as well: what was quantised from, or trained on top of,
// recalled weights carries them on.
#include "freehold/advisory/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/formats/model_files.h"
#include "freehold/formats/origin.h"
#include "freehold/store/version.h"

namespace freehold::advisory {
namespace {

constexpr int kMostGenerations = 16;

struct Entry {
    const Kept* kept;
    const Affected* affected;
};

// What is looked for, by digest; withdrawn advisories are not.
class Wanted {
 public:
    explicit Wanted(const std::vector<Kept>& kept) {
        for (const Kept& one : kept) {
            if (!one.advisory.withdrawn.empty()) continue;
            for (const Affected& affected : one.advisory.affected) {
                by_digest_.emplace(affected.digest, Entry{&one, &affected});
                sizes_.insert(affected.kind == "version" ? kNoFile : affected.size);
            }
        }
    }
    [[nodiscard]] bool empty() const noexcept { return by_digest_.empty(); }
    // May a file of this size be named by an advisory?
    [[nodiscard]] bool may_hit(std::uint64_t size) const { return sizes_.contains(0) || sizes_.contains(size); }

    void find(const std::string& digest, const std::string& part, const std::string& ancestor,
              std::vector<Hit>& out) const {
        const auto [first, last] = by_digest_.equal_range(digest);
        for (auto it = first; it != last; ++it) {
            const Kept& kept = *it->second.kept;
            // One advisory is told once of a model: by itself before an ancestor. Another signer's of the same id is
            // another one.
            if (std::ranges::any_of(out, [&](const Hit& h) {
                    return h.kept.advisory.id == kept.advisory.id && h.kept.signer == kept.signer;
                }))
                continue;
            out.push_back({*it->second.kept, *it->second.affected, part, ancestor});
        }
    }

 private:
    static constexpr std::uint64_t kNoFile = ~0ULL;
    std::multimap<std::string, Entry> by_digest_;
    std::set<std::uint64_t> sizes_;
};

// What a GGUF file, or the config.json of a folder, says it was made from.
void find_sources(const Wanted& wanted, const LooseFile& file, std::vector<Hit>& out) {
    constexpr std::uint64_t kMaxConfig = 16U << 20U;
    const std::string leaf = std::filesystem::path(file.name).filename().string();
    std::vector<std::string> sources;
    try {
        if (leaf == "config.json") {
            const Value tree = parse_json(read_text(file.at, kMaxConfig), leaf);
            if (const ValueMap* map = tree.get<ValueMap>(); map != nullptr) sources = sources_named(*map);
        } else if (file.at.extension() == ".gguf") {
            sources = sources_named(ModelFiles::open(file.at)->meta());
        }
        for (const std::string& digest : sources) wanted.find(digest, digest, digest, out);
    } catch (const Error&) {
        return;  // whoever loads it says what is wrong with it
    }
}

void find_model(const Wanted& wanted, const StoredModel& model, const std::string& ancestor, std::vector<Hit>& out) {
    wanted.find(model.digest, "this version", ancestor, out);
    if (const Value* versions = model.record.extra.find("versions")) {
        for (std::size_t i = 0; i < std::min<std::size_t>(versions->size(), 100); ++i)
            wanted.find(std::string(versions->at(i).as_string().value_or("")), "this version", ancestor, out);
    }
    for (const StoredFile& file : model.files) wanted.find(file.digest, file.path, ancestor, out);
    // The files that it was made from, whether or not they are here.
    for (const char* key : {"quantised_from", "converted_from", "quantised_before"}) {
        const Value* const from = model.record.extra.find(key);
        if (from == nullptr) continue;
        for (const std::string& digest : digests_in(from->as_string().value_or("")))
            wanted.find(digest, digest, ancestor.empty() ? digest : ancestor, out);
    }
}

void find_ancestors(const Wanted& wanted, const std::vector<StoredModel>& models, const StoredModel& model, int depth,
                    std::set<std::string>& seen, std::vector<Hit>& out) {
    if (depth == kMostGenerations) return;
    for (const std::string& parent : model.record.parents) {
        if (!seen.insert(parent).second) continue;
        const auto here = std::ranges::find_if(models, [&](const StoredModel& m) { return is_version(m, parent); });
        const std::string name = here == models.end() ? parent : here->name.str();
        wanted.find(parent, "this version", name, out);
        if (here == models.end()) continue;
        find_model(wanted, *here, name, out);
        find_ancestors(wanted, models, *here, depth + 1, seen, out);
    }
}

std::vector<Hit> check_one(const Wanted& wanted, const std::vector<StoredModel>& models, const StoredModel& model) {
    std::vector<Hit> out;
    find_model(wanted, model, {}, out);
    std::set<std::string> seen{model.digest};
    find_ancestors(wanted, models, model, 0, seen, out);
    return out;
}

}  // namespace

std::vector<Hit> check(const Store& store, const StoredModel& model, const std::vector<Kept>& kept) {
    const Wanted wanted(kept);
    return wanted.empty() ? std::vector<Hit>{} : check_one(wanted, store.list(), model);
}

std::vector<Hit> check_files(const std::vector<LooseFile>& files, const std::vector<Kept>& kept,
                             const Progress& progress) {
    std::vector<Hit> out;
    const Wanted wanted(kept);
    if (wanted.empty()) return out;
    for (const LooseFile& file : files) {
        find_sources(wanted, file, out);
        std::string digest = file.digest;
        if (digest.empty()) {
            std::error_code ec;
            const std::uint64_t size = std::filesystem::file_size(file.at, ec);
            if (ec || !wanted.may_hit(size)) continue;
            digest = "sha256:" + sha256_file(file.at, [&](std::uint64_t done, std::uint64_t total) {
                         if (progress) progress({"looking for advisories", done, total, "B"});
                     });
        }
        wanted.find(digest, file.name, {}, out);
    }
    return out;
}

std::vector<Hit> check_versions(const std::vector<std::string>& digests, const std::vector<Kept>& kept) {
    std::vector<Hit> out;
    const Wanted wanted(kept);
    for (const std::string& digest : digests) wanted.find(digest, "this version", {}, out);
    return out;
}

std::vector<std::pair<StoredModel, Hit>> all_hits(const Store& store, const std::vector<Kept>& kept) {
    std::vector<std::pair<StoredModel, Hit>> out;
    const Wanted wanted(kept);
    if (wanted.empty()) return out;
    const auto models = store.list();
    for (const StoredModel& model : models)
        for (Hit& hit : check_one(wanted, models, model)) out.emplace_back(model, std::move(hit));
    return out;
}

Policy policy_from(std::string_view name) {
    if (name == "off") return Policy::off;
    if (name == "warn") return Policy::warn;
    if (name == "recall") return Policy::recall;
    if (name == "all") return Policy::all;
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is no policy for advisories.", name),
                "There are off, warn, recall and all (docs/advisories.md).");
}

bool refuses(Policy policy, const Hit& hit) noexcept {
    if (!hit.kept.trusted) return false;
    const Advisory& a = hit.kept.advisory;
    if (policy == Policy::all) return true;
    return policy == Policy::recall && (a.action == Action::recall || a.severity == Severity::critical);
}

std::string sentence(const Hit& hit) {
    const Advisory& a = hit.kept.advisory;
    std::string about;
    if (a.severity != Severity::unknown) about += fmt::format("{}, ", severity_name(a.severity));
    if (a.action == Action::recall) about += "recalled, ";
    about += hit.kept.trusted ? "signed by " + hit.kept.signer : hit.kept.signer;
    std::string text = fmt::format("{} ({})", a.id, about);
    if (!a.summary.empty()) text += ": " + a.summary;
    while (text.ends_with('.')) text.pop_back();
    text += hit.ancestor.empty() ? fmt::format(". It hits {}.", hit.part)
            : hit.part == "this version" || hit.part == hit.ancestor
                ? fmt::format(". It hits {}, from which this was made.", hit.ancestor)
                : fmt::format(". It hits {} of {}, from which this was made.", hit.part, hit.ancestor);
    return text;
}

}  // namespace freehold::advisory
