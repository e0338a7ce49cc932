// From a name or path to a report: the files, the finders, the licences, the judgements, the claims.
#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/base/hash.h"
#include "look.h"

namespace freehold::openness {
namespace {

namespace fs = std::filesystem;

// The identity of a folder: the digest of its files' names and digests, in order.
std::string digest_of(const std::vector<File>& files) {
    std::string list;
    for (const File& f : files) list += fmt::format("{}  {}\n", f.digest, f.name);
    return "sha256:" + sha256_hex(std::as_bytes(std::span(list)));
}

// Bases that the store and the files both name are told once.
void merge_bases(std::vector<Base> known, Report& r) {
    for (Base& b : r.bases) {
        const bool twice = std::ranges::any_of(known, [&](const Base& k) { return lower(k.name) == lower(b.name); });
        if (!twice) known.push_back(std::move(b));
    }
    r.bases = std::move(known);
}

}  // namespace

Target target_of_model(const Store& store, const StoredModel& model) {
    Target out;
    out.subject = licence::subject_of_model(store, model);
    out.digest = model.digest;
    for (const StoredFile& f : model.files) out.file_digests.emplace_back(f.path, f.digest);
    for (const std::string& parent : model.record.parents) {
        Base base{parent, "the store's record", parent, false};
        try {
            const StoredModel found = store.get_by_digest(parent);
            base.here = true;
            if (found.name.name != "untagged") base.name = found.name.str();
        } catch (const Error&) {
            base.here = false;  // its manifest is not in this store; the digest stands for it
        }
        out.bases.push_back(std::move(base));
    }
    out.attestations = store.home() / "attestations" / (model.digest.substr(model.digest.find(':') + 1) + ".json");
    return out;
}

Target find_target(const Store& store, const std::string& name) {
    std::error_code ignored;
    fs::path path = name;
    if (!fs::exists(path, ignored)) {
        const LocatedModel located = locate_model(store, name);
        if (located.stored) return target_of_model(store, *located.stored);
        path = located.path;
    }
    Target out;
    out.subject = licence::subject_of_path(path);
    path = path.lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    out.attestations = path;
    out.attestations += ".attestations.json";
    return out;
}

Report examine(const Target& target, std::string_view public_key) {
    Report out;
    out.subject = target.subject.name;
    Findings found;
    std::vector<File> all = open_files(target, found.notes);
    out.files = all.size();
    for (const File& f : all) out.bytes += f.size;
    out.digest = !target.digest.empty() ? target.digest : all.size() == 1 ? all.front().digest : digest_of(all);
    const std::vector<File> files = own_files(std::move(all));
    if (!target.subject.left_out.empty()) found.note(target.subject.left_out);
    find_weights(files, found);
    found.unmask_copies();
    find_code(files, found);
    find_data(files, found);
    find_documents(files, found);
    find_own_words(files, found);
    out.review = licence::review(target.subject);
    out.topics = std::move(found.topics);
    out.bases = std::move(found.bases);
    out.parts = found.take();
    out.notes = std::move(found.notes);
    merge_bases(target.bases, out);
    license_parts(files, out.review, target.subject, out.parts);
    out.attestations = read_attestations(target.attestations, out.digest, public_key);
    judge_report(out);
    check_claims(files, out);
    // A card that speaks of a file which is not here shows that something was left out.
    const auto missing = std::ranges::find_if(out.claims, [](const ClaimCheck& c) {
        return c.rule == "named-file-missing" && c.verdict == ClaimCheck::Verdict::contradicted;
    });
    if (out.category == Category::open_source_ai && missing != out.claims.end()) {
        out.category = out.category_attested = Category::open_tooling;
        out.category_reason += fmt::format(" But {}:{} speaks of a file that is not here ({}).", missing->file,
                                           missing->line, missing->artefact);
    }
    return out;
}

}  // namespace freehold::openness
