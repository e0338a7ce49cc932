// The whole comparison, part by part; what cannot be read of one part becomes a note and leaves the others as they are.
// Two models of the same bytes are told apart by nothing and cost nothing.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "freehold/base/error.h"
#include "freehold/diff/diff.h"
#include "freehold/formats/adapter_files.h"
#include "freehold/formats/model_files.h"
#include "freehold/licence/review.h"
#include "tensors.h"
#include "texts.h"
#include "tokenizer.h"

namespace freehold::diff {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const ModelFiles> open_side(const Side& side) {
    try {
        return ModelFiles::open(side.path);
    } catch (const Error&) {
        // A PEFT folder has weights and a config, but no config.json.
        const fs::path weights = side.path / "adapter_model.safetensors";
        std::error_code ec;
        if (!AdapterFiles::is_one(side.path) || !fs::exists(weights, ec)) throw;
        return ModelFiles::open(weights);
    }
}

template <class Part>
void guarded(Report& report, const char* what, Part&& part) {
    try {
        part();
    } catch (const Error& e) {
        if (e.kind() == ErrorKind::cancelled) throw;
        report.notes.push_back(fmt::format("The {} could not be compared: {}", what, e.message()));
    }
}

bool same_bytes(const Side& a, const Side& b) {
    if (a.digests.empty() || b.digests.empty()) return false;
    auto left = a.digests, right = b.digests;
    std::ranges::sort(left);
    std::ranges::sort(right);
    return left == right;
}

}  // namespace

const char* change_name(Change c) noexcept {
    return c == Change::added ? "added" : c == Change::removed ? "removed" : "changed";
}

bool Report::same() const noexcept {
    return same_files || (tensors.changes.empty() && tokenizer.same() && templates.empty() && !licence.differs &&
                          card.empty() && card_prose.empty() && config.empty());
}

Side find_side(const Store& store, const std::string& name_or_path) {
    Side out;
    out.name = name_or_path;
    LocatedModel located = locate_model(store, name_or_path);
    out.path = located.path;
    if (located.stored) {
        out.digest = located.stored->digest;
        for (const StoredFile& file : located.stored->files) {
            out.files.emplace_back(file.path, store.file_path(file));
            out.digests.emplace_back(file.path, file.digest);
        }
        out.stored = std::move(located.stored);
        return out;
    }
    for (licence::SubjectFile& file : licence::subject_of_path(located.path).files)
        out.files.emplace_back(std::move(file.name), std::move(file.at));
    return out;
}

Report compare(const Side& a, const Side& b, const Options& options) {
    Report out;
    out.a = a;
    out.b = b;
    if (same_bytes(a, b)) {
        out.same_files = true;
        return out;
    }
    const auto left = open_side(a), right = open_side(b);
    if (left->container() != right->container())
        out.notes.push_back(fmt::format("{} is {} and {} is {}: tensors and settings are matched by their names alone.",
                                        a.name, container_name(left->container()), b.name,
                                        container_name(right->container())));
    guarded(out, "tensors", [&] { out.tensors = compare_tensors(*left, *right, options); });
    guarded(out, "tokenizers", [&] { out.tokenizer = compare_tokenizers(*left, *right, out.notes); });
    guarded(out, "chat templates", [&] { out.templates = compare_templates(*left, *right); });
    guarded(out, "licences", [&] { out.licence = compare_licences(a, b); });
    guarded(out, "cards", [&] { compare_cards(a, b, out.card, out.card_prose); });
    guarded(out, "settings", [&] { out.config = compare_config(*left, *right); });
    return out;
}

}  // namespace freehold::diff
