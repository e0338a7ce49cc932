// Looks through the files of a model for licence texts and claims, and says what contradicts what.
#include "freehold/licence/review.h"

#include <fmt/format.h>

#include <algorithm>

#include "claims.h"
#include "file_names.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "hold.h"
#include "library.h"
#include "prose.h"

namespace freehold::licence {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFiles = 4096;
constexpr std::size_t kTexts = 256;
constexpr int kLevels = 12;

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

bool holds(std::string_view text, std::string_view wanted) {  // "a|b": either
    const std::vector<Word> words = split_words(text);
    while (true) {
        const std::size_t bar = wanted.find('|');
        if (find_phrase(words, wanted.substr(0, bar))) return true;
        if (bar == std::string_view::npos) return false;
        wanted.remove_prefix(bar + 1);
    }
}

bool is_bundle_index(const SubjectFile& f) {
    std::error_code fault;
    if (f.name != "bundle.json" || fs::file_size(f.at, fault) > (16U << 20U) || fault) return false;
    return read_text(f.at, 16U << 20U).find("\"freehold.bundle/") != std::string::npos;
}

class Reviewer {
 public:
    explicit Reviewer(const Subject& subject) : subject_(subject) { out_.subject = subject.name; }

    Review run() {
        bundle_ = std::ranges::any_of(subject_.files, is_bundle_index);
        for (const SubjectFile& f : subject_.files) read(f);
        out_.claims = origins_.claims;
        if (!subject_.record_licence.empty())
            out_.claims.push_back(
                {"the store's record", 0, subject_.record_licence, find_known(subject_.record_licence)});
        out_.findings = std::move(origins_.findings);
        if (!subject_.left_out.empty()) tell(Finding::Weight::warning, "files-left-out", subject_.left_out);
        tell_texts();
        hold_claims(out_);
        hold_links(origins_, subject_, out_);
        hold_gates(origins_, out_);
        hold_limits(origins_, out_);
        hold_bases(origins_, out_);
        tell_duties();
        std::ranges::stable_sort(out_.findings, [](const Finding& a, const Finding& b) { return a.weight > b.weight; });
        return std::move(out_);
    }

 private:
    void tell(Finding::Weight weight, std::string key, std::string message, std::string where = {}) {
        out_.findings.push_back({weight, std::move(key), std::move(message), std::move(where)});
    }

    void read(const SubjectFile& f) {
        const std::string name = base_name(f.name);
        const bool alone = subject_.files.size() == 1;
        if (name.ends_with(".gguf")) {
            read_gguf(f, origins_);
            return;
        }
        if (name.ends_with(".safetensors")) {
            read_safetensors(f, origins_);
            return;
        }
        if (name == "config.json" || name == "adapter_config.json") {
            std::error_code fault;
            if (fs::file_size(f.at, fault) <= (1U << 20) && !fault)
                read_config(f.name, read_text(f.at, 1U << 20), origins_);
            return;
        }
        const bool card = name == "readme.md";
        const bool spoken = !card && !alone && !is_licence_name(f.name) && is_spoken_name(f.name);
        if (!card && !spoken && !is_licence_name(f.name) && !alone) return;
        std::string text;
        try {
            text = read_text(f.at, kMaxText);
        } catch (const Error& e) {
            tell(Finding::Weight::warning, "file-unreadable",
                 fmt::format("{} could not be read: {}", f.name, e.message()), f.name);
            return;
        }
        if (spoken) {
            read_card(f.name, text, origins_);
            read_prose(f.name, text, origins_);
            return;
        }
        if (card) {
            // The card at the top speaks for the model, and so does its publisher's in a bundle; others belong to
            // parts.
            if (f.name == "README.md" || f.name == "upstream/README.md" || origins_.card.empty()) {
                read_card(f.name, text, origins_);
                read_prose(f.name, text, origins_);
            }
            if (!alone) return;
        }
        if (out_.texts.size() >= kTexts) {
            if (std::ranges::none_of(out_.findings, [](const Finding& x) { return x.key == "files-left-out"; }))
                origins_.findings.push_back({Finding::Weight::warning, "files-left-out",
                                             fmt::format("Only {} licence texts were read; there are more.", kTexts),
                                             f.name});
            return;
        }
        ReviewedFile file{f.name, "sha256:" + sha256_hex(std::as_bytes(std::span(text))), {}};
        if (const char* kind = closed_document(name))
            file.report.unreadable = fmt::format("it is a document of the kind {}; save it as text", kind);
        else
            file.report = examine(text);
        // What a file of that name says are terms, in however few words; a notice names people and works.
        if (is_licence_name(f.name) && !is_notice_name(name) && file.report.unreadable.empty() &&
            file.report.matches.empty() && file.report.words > 1)
            file.report.unknown_terms = true;
        // A text that the packer laid down for a licence that was only named: still no more than a name.
        if (bundle_ && f.name.starts_with("documents/licences/") && !file.report.unknown_terms &&
            !file.report.matches.empty() && std::ranges::all_of(file.report.matches, [](const Match& m) {
                return m.known != nullptr && m.likeness == Likeness::exact;
            })) {
            for (const Match& m : file.report.matches)
                if (!m.known->policy)
                    origins_.claims.push_back({f.name + ", added by the packer", m.first_line, m.known->name, m.known});
            return;
        }
        // A line beside the weights speaks about them.
        for (const Match& m : file.report.matches)
            if (m.likeness == Likeness::reference && m.known != nullptr &&
                (beside_weights(name) || !name.ends_with(".license")))
                origins_.claims.push_back({f.name + ", SPDX-License-Identifier", m.first_line, m.expression, m.known});
        if (is_notice_name(name)) notices_ += text + "\n";
        out_.texts.push_back(std::move(file));
    }

    void tell_texts() {
        for (const ReviewedFile& f : out_.texts) {
            if (!f.report.unreadable.empty())
                tell(Finding::Weight::warning, "text-unreadable",
                     fmt::format("{} is no text that can be read: {}.", f.name, f.report.unreadable), f.name);
            for (const Match& m : f.report.matches) {
                if (m.likeness != Likeness::altered) continue;
                std::string places;
                for (const Change& c : m.changes)
                    if (places.size() < 300) places += fmt::format("{}{}", places.empty() ? "" : "; ", c.clause);
                const bool riders =
                    std::ranges::all_of(m.changes, [](const Change& c) { return c.clause.starts_with("words "); });
                tell(Finding::Weight::conflict, "text-altered",
                     riders ? fmt::format("{} is the {} with added terms ({}), which change it or may change it.",
                                          f.name, m.known->name, places)
                            : fmt::format("{} is not the {}: it was altered at {}.", f.name, m.known->name, places),
                     fmt::format("{}:{}", f.name, m.changes.empty() ? m.first_line : m.changes.front().line));
            }
            if (f.report.unknown_terms)
                tell(Finding::Weight::warning, "terms-unknown",
                     f.report.nearest.empty()
                         ? fmt::format("{} holds terms that are not known.", f.name)
                         : fmt::format("{} holds terms that are not known; the nearest known text is {} ({:.0f} % of "
                                       "the words), "
                                       "which it is not.",
                                       f.name, f.report.nearest[0].known->name, 100 * f.report.nearest[0].similarity),
                     f.name);
        }
        std::vector<const Known*> different;
        for (const Match* m : out_.licences())
            if (std::ranges::find(different, m->known) == different.end()) different.push_back(m->known);
        if (different.size() > 1) {
            std::string names;
            for (const Known* k : different) names += (names.empty() ? "" : ", ") + k->name;
            tell(Finding::Weight::warning, "several-licences",
                 fmt::format(
                     "Several licences are here: {}. Which part each one covers, the files do not say by themselves; "
                     "the strictest is taken.",
                     names));
        }
    }

    // Duties that can be seen in the files: fixed notices, names, policies that go along.
    void tell_duties() {
        for (const Match* m : out_.licences()) {
            const Template* t = Library::get().text_of(*m->known);
            if (t == nullptr) continue;
            for (const Duty& d : t->duties) {
                bool met = false;
                if (d.check == "notice-says") met = holds(notices_, d.value);
                if (d.check == "card-says") met = holds(origins_.card, d.value);
                if (d.check == "policy-text") met = has_policy("LicenseRef-" + d.value);
                if (d.check == "name-prefix") met = origins_.bases.empty() || named_with(d.value);
                if (!met)
                    tell(Finding::Weight::note, "duty-" + d.check,
                         fmt::format("The {} asks who passes it on for {}; it is not in these files.", m->known->name,
                                     d.meaning));
            }
        }
    }

    [[nodiscard]] bool has_policy(std::string_view id) const {
        return std::ranges::any_of(out_.texts, [&](const ReviewedFile& f) {
            return std::ranges::any_of(f.report.matches,
                                       [&](const Match& m) { return m.known != nullptr && m.known->id == id; });
        });
    }
    [[nodiscard]] bool named_with(std::string_view prefix) const {
        std::vector<std::string> names = origins_.names;
        names.push_back(subject_.name.substr(subject_.name.rfind('/') + 1));
        return std::ranges::any_of(names, [&](const std::string& n) { return lower(n).starts_with(lower(prefix)); });
    }

    const Subject& subject_;
    Review out_;
    Origins origins_;
    std::string notices_;
    bool bundle_ = false;
};

}  // namespace

std::vector<const Match*> Review::licences() const {
    std::vector<const Match*> out;
    for (const ReviewedFile& f : texts)
        for (const Match& m : f.report.matches)
            if (m.known != nullptr && !m.known->policy &&
                (m.likeness == Likeness::exact || m.likeness == Likeness::altered))
                out.push_back(&m);
    return out;
}

Subject subject_of_path(const fs::path& path) {
    Subject out;
    out.name = path.lexically_normal().string();
    while (out.name.size() > 1 && out.name.ends_with('/')) out.name.pop_back();
    std::error_code fault;
    if (fs::is_regular_file(path, fault)) {
        out.files.push_back({path.filename().string(), path});
        return out;
    }
    if (!fs::is_directory(path, fault))
        throw Error(ErrorKind::not_found, fmt::format("{} is neither a file nor a folder.", path.string()),
                    "Name a licence file, a model's folder or file, or a stored model (freehold list).");
    std::string deep;
    fs::recursive_directory_iterator walk(path, fs::directory_options::skip_permission_denied, fault);
    if (fault) throw Error(ErrorKind::io, fmt::format("{} could not be read: {}", path.string(), fault.message()));
    for (const auto end = fs::recursive_directory_iterator(); walk != end && out.files.size() < kFiles;
         walk.increment(fault)) {
        if (fault) break;
        const std::string name = walk->path().filename().string();
        if (walk->is_directory(fault) && name.starts_with('.')) walk.disable_recursion_pending();
        if (walk->is_directory(fault) && walk.depth() + 1 >= kLevels) {
            walk.disable_recursion_pending();
            deep = walk->path().lexically_relative(path).string();
        }
        if (walk->is_regular_file(fault))
            out.files.push_back({walk->path().lexically_relative(path).string(), walk->path()});
    }
    if (walk != fs::recursive_directory_iterator())
        out.left_out = fault ? fmt::format("The walk through {} ended early: {}", out.name, fault.message())
                             : fmt::format("Only {} files were looked at; there are more.", kFiles);
    else if (!deep.empty())
        out.left_out =
            fmt::format("What lies in {} and below was not looked at: only {} levels of folders are.", deep, kLevels);
    std::ranges::sort(out.files, {}, &SubjectFile::name);
    return out;
}

Subject subject_of_model(const Store& store, const StoredModel& model) {
    Subject out;
    out.name = model.name.str();
    out.record_licence = model.record.licence.id;
    for (const StoredFile& f : model.files)
        out.files.push_back({f.path, f.linked_at ? *f.linked_at : store.blob_path(f.digest)});
    return out;
}

Review review(const Subject& subject) {
    return Reviewer(subject).run();
}

}  // namespace freehold::licence
