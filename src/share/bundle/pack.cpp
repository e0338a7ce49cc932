// What goes into a bundle: the model's files, the documents, the index. Everything is decided before the first byte is
// written, so that a plan can be shown and a refusal leaves nothing behind.
#include "freehold/bundle/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "documents.h"
#include "freehold/base/error.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "freehold/bundle/contents.h"
#include "freehold/bundle/manifest.h"
#include "layout.h"
#include "subject.h"

namespace freehold::bundle {
namespace {

namespace fs = std::filesystem;

std::string digest_of(const std::string& bytes) {
    return sha256_hex(std::as_bytes(std::span(bytes)));
}

void check_out(const PackOptions& options) {
    if (options.out.empty()) throw Error(ErrorKind::usage, "There is no place to write to.", "Name one with -o.");
    std::error_code ec;
    const bool there = fs::exists(fs::symlink_status(options.out, ec));
    const bool tar = options.out.extension() == ".tar";
    if (there && !(tar && options.replace && fs::is_regular_file(options.out, ec)))
        throw Error(ErrorKind::conflict, fmt::format("{} exists already.", options.out.string()),
                    tar ? "Choose another name, or replace the file with --force."
                        : "A bundle gets a folder of its own: choose another name.");
}

// The licence that is only named, with the text that the program carries.
void add_licence_text(const Subject& s, std::vector<Document>& out) {
    if (s.declared.empty()) return;
    const bool text_is_here = std::ranges::any_of(s.review.licences(), [](const licence::Match* m) {
        return m->likeness == licence::Likeness::exact || m->likeness == licence::Likeness::altered;
    });
    const licence::Known* known = licence::find_known(s.declared.id);
    if (text_is_here || known == nullptr) return;
    const std::string_view text = licence::text_of(*known);
    if (text.empty()) return;
    out.push_back({"licence-text", "licences/" + file_stem(known->id) + ".txt", "text/plain", std::string(text)});
}

std::vector<Document> make_documents(const Subject& s, const PackOptions& options, Gaps& gaps) {
    // Names here are those below documents/, as for documents that others made.
    const auto below = [](std::string_view path) {
        return std::string(path.substr(std::string_view("documents/").size()));
    };
    std::vector<Document> out;
    out.push_back({"bom-cyclonedx", below(kCycloneFile), "application/vnd.cyclonedx+json", cyclonedx(s, gaps)});
    out.push_back({"bom-spdx", below(kSpdxFile), "application/spdx+json", spdx(s, gaps)});
    out.push_back({"lineage", below(kLineageFile), "application/json", lineage_document(s)});
    out.push_back({"recipe", below(kRecipeFile), "application/json", recipe_document(s, gaps)});
    out.push_back({"training-content-summary", below(kSummaryFile), "text/markdown", summary_markdown(s, gaps)});
    out.push_back({"training-content-summary", below(kSummaryJsonFile), "application/json", summary_json(s)});
    if (!s.facts.results.empty())
        out.push_back({"evaluation", below(kResultsFile), "application/json", results_document(s)});
    if (!s.chat_template.empty()) out.push_back({"template", below(kTemplateFile), "text/plain", s.chat_template});
    std::set<std::string> cards;
    for (const Dataset& set : s.datasets) {
        const std::string name = below(kDataFolder) + file_stem(set.name) + ".croissant.json";
        if (!cards.insert(name).second)
            throw Error(ErrorKind::conflict, fmt::format("Two data sets would both be described in {}.", name),
                        "Give them names that differ in letters or digits.");
        out.push_back({"data-card", name, "application/ld+json", croissant(s, set, gaps)});
    }
    add_licence_text(s, out);
    for (const Document& more : options.more) out.push_back(more);
    return out;
}

void unique_gaps(Gaps& gaps) {
    std::set<std::pair<std::string, std::string>> seen;
    std::erase_if(gaps, [&](const Gap& gap) { return !seen.emplace(gap.document, gap.what).second; });
}

}  // namespace

PackSource source_of_model(const Store& store, const StoredModel& model) {
    PackSource out;
    out.name = model.name.str();
    for (const StoredFile& file : model.files) out.files.emplace_back(file.path, store.file_path(file));
    out.stored = model;
    return out;
}

PackSource source_of_path(const fs::path& path) {
    PackSource out;
    const fs::path whole = fs::absolute(path).lexically_normal();
    std::error_code ec;
    if (!fs::exists(whole, ec))
        throw Error(ErrorKind::not_found, fmt::format("{} does not exist.", path.string()),
                    "Check the spelling of the path.");
    if (!fs::is_directory(whole, ec)) {
        out.name = whole.stem().string();
        out.files.emplace_back(whole.filename().string(), fs::canonical(whole));
        return out;
    }
    out.name = whole.has_filename() ? whole.filename().string() : whole.parent_path().filename().string();
    const Contents contents = contents_of_path(whole);
    if (!contents.faults.empty())
        throw Error(ErrorKind::bad_file, contents.faults.front(),
                    fmt::format("Only plain files can be packed; mend this in {} first.", path.string()));
    for (const Entry& entry : contents.entries) {
        if (!is_kept_by_git(entry.name)) out.files.emplace_back(entry.name, entry.at);
    }
    return out;
}

Pack Pack::prepare(const PackSource& source, const PackOptions& options) {
    check_out(options);
    const Subject subject = gather(source, options);
    Pack out;
    out.name_ = subject.name;
    out.time_ = subject.time;
    for (const SubjectFile& file : subject.files)
        out.items_.push_back({file.path, file.role, file.media_type, file.sha256, file.size, file.at, {}});
    Gaps& gaps = out.plan_.gaps;
    std::vector<Document> documents = make_documents(subject, options, gaps);
    std::string card = model_card(subject, gaps);
    unique_gaps(gaps);
    const auto add = [&](std::string path, const std::string& role, const std::string& type, std::string bytes) {
        if (const std::string wrong = name_fault(path); !wrong.empty())
            throw Error(ErrorKind::internal,
                        fmt::format("The document \"{}\" is refused: {}.", printable(path), wrong));
        out.plan_.documents.push_back({path, role, type, bytes.size()});
        std::string digest = digest_of(bytes);
        const std::uint64_t size = bytes.size();
        out.items_.push_back({std::move(path), role, type, std::move(digest), size, {}, std::move(bytes)});
    };
    for (Document& d : documents) add("documents/" + d.file_name, d.role, d.media_type, std::move(d.bytes));
    add(kCardFile, "card", "text/markdown", std::move(card));
    std::ranges::sort(out.items_, {}, &Item::path);

    ValueList files, missing;
    for (const Item& item : out.items_)
        files.emplace_back(ValueMap{{"path", item.path},
                                    {"role", item.role},
                                    {"media_type", item.media_type},
                                    {"size", item.size},
                                    {"sha256", item.sha256}});
    for (const Gap& gap : gaps) missing.emplace_back(ValueMap{{"document", gap.document}, {"what", gap.what}});
    ValueMap index{{"format", kIndexFormat},
                   {"name", subject.name},
                   {"version", subject.version},
                   {"content", "sha256:" + subject.content},
                   {"manifest", subject.digest.empty() ? Value() : Value(subject.digest)},
                   {"created", subject.timestamp()},
                   {"made_by", "Freehold " + subject.tool_version},
                   {"files", std::move(files)},
                   {"gaps", std::move(missing)}};
    add(kIndexFile, "index", "application/json", to_json(Value(std::move(index)), 2) + "\n");
    std::ranges::sort(out.items_, {}, &Item::path);
    for (std::size_t i = 1; i < out.items_.size(); ++i)
        if (out.items_[i].path == out.items_[i - 1].path)
            throw Error(ErrorKind::conflict, fmt::format("Two files would be called {}.", out.items_[i].path),
                        "Rename the one of the model.");
    out.plan_.files = out.items_.size();
    for (const Item& item : out.items_) out.plan_.bytes += item.size;
    return out;
}

std::string Pack::signature_for(const PackOptions& options, PackResult& result) const {
    std::vector<Resource> files;
    files.reserve(items_.size());
    for (const Item& item : items_) files.push_back({item.path, item.sha256});
    result.root = root_digest(files);
    if (!options.key) return {};
    result.key_hint = options.key->public_key().hint();
    return sign_envelope(*options.key, kPayloadType, write_statement(file_stem(name_), std::move(files)));
}

PackResult Pack::write(const PackOptions& options) const {
    check_out(options);
    PackResult result;
    result.plan = plan_;
    const std::string signature = signature_for(options, result);
    if (options.out.extension() == ".tar")
        write_tar(options.out, signature, options.progress);
    else
        write_folder(options.out, signature, options.progress);
    return result;
}

}  // namespace freehold::bundle
