// The whole comparison, part by part; what cannot be read of one part becomes a note and leaves the others as they are.
// Two models of the same bytes are told apart by nothing and cost nothing.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/hash.h"
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

constexpr std::size_t kMostFiles = 100000;

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

// What a review of licences passes over in a folder is a difference too.
void add_the_rest(Side& side) {
    std::error_code ec;
    if (!fs::is_directory(side.path, ec)) return;
    std::set<std::string> there;
    for (const auto& file : side.files) there.insert(file.first);
    std::vector<std::pair<std::string, fs::path>> more;
    for (fs::recursive_directory_iterator it(side.path, ec), end; !ec && it != end; it.increment(ec)) {
        std::error_code ignored;
        if (it->is_directory(ignored) && !it->is_symlink(ignored)) continue;
        std::string name = it->path().lexically_relative(side.path).generic_string();
        if (there.insert(name).second) more.emplace_back(std::move(name), it->path());
        if (there.size() > kMostFiles)
            throw Error(ErrorKind::limit, fmt::format("{} holds more than {} files.", side.name, kMostFiles),
                        "Name the folder of one model.");
    }
    std::ranges::sort(more);
    for (auto& file : more) side.files.push_back(std::move(file));
}

struct Opened {
    const Side& side;
    const ModelFiles& model;
};

// Every file that no other part compares whole, by name.
std::map<std::string, fs::path> others_of(const Opened& opened) {
    static constexpr std::array<std::string_view, 6> kCompared = {"config.json",    "generation_config.json",
                                                                  "tokenizer.json", "tokenizer_config.json",
                                                                  "README.md",      "chat_template.jinja"};
    std::map<std::string, fs::path> out;
    for (const auto& [name, at] : opened.side.files) {
        const auto is_it = [&, &path = at](const fs::path& file) {
            std::error_code ec;
            return file == path || fs::equivalent(file, path, ec);
        };
        if (std::ranges::find(kCompared, name) != kCompared.end() || std::ranges::any_of(opened.model.files(), is_it))
            continue;
        out.emplace(name, at);
    }
    return out;
}

std::string mark_of(const Side& side, const std::string& name, const fs::path& at) {
    for (const auto& [file, digest] : side.digests)
        if (file == name) return digest;
    std::error_code ec;
    if (fs::is_symlink(at, ec) && !fs::is_regular_file(at, ec)) return "link to " + fs::read_symlink(at, ec).string();
    return fs::is_regular_file(at, ec) ? "sha256:" + sha256_file(at) : "no file";
}

std::vector<FileChange> compare_files(const Opened& a, const Opened& b) {
    const auto left = others_of(a), right = others_of(b);
    const auto size = [](const fs::path& at) {
        std::error_code ec;
        const std::uint64_t bytes = fs::file_size(at, ec);
        return ec ? 0 : bytes;
    };
    std::vector<FileChange> out;
    for (const auto& [name, at] : left) {
        const auto there = right.find(name);
        if (there == right.end()) {
            out.push_back({name, Change::removed, size(at), 0});
        } else if (const std::uint64_t x = size(at), y = size(there->second);
                   x != y || mark_of(a.side, name, at) != mark_of(b.side, name, there->second)) {
            out.push_back({name, Change::changed, x, y});
        }
    }
    for (const auto& [name, at] : right)
        if (!left.contains(name)) out.push_back({name, Change::added, 0, size(at)});
    std::ranges::sort(out, {}, &FileChange::name);
    return out;
}

}  // namespace

const char* change_name(Change c) noexcept {
    return c == Change::added ? "added" : c == Change::removed ? "removed" : "changed";
}

bool Report::same() const noexcept {
    return same_files || (tensors.changes.empty() && tokenizer.same() && templates.empty() && !licence.differs &&
                          card.empty() && card_prose.empty() && config.empty() && files.empty());
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
    add_the_rest(out);
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
    guarded(out, "other files", [&] { out.files = compare_files({a, *left}, {b, *right}); });
    return out;
}

}  // namespace freehold::diff
