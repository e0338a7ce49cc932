// Looks through the files of a model for licence texts and claims, and says what contradicts what.
#include "freehold/licence/review.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "claims.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "library.h"

namespace freehold::licence {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFiles = 4096;
constexpr std::size_t kTexts = 64;

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

std::string base_name(std::string_view path) {
    return lower(path.substr(path.rfind('/') + 1));
}

// "LICENSE", "MODEL_LICENSE.md", "COPYING.LIB", "USE_POLICY.md", "Notice", "LICENSES/MIT.txt"
bool is_licence_name(std::string_view path) {
    const std::string name = base_name(path);
    const std::size_t dot = name.rfind('.');
    const std::string ending = dot == std::string::npos || dot == 0 ? "" : name.substr(dot);
    constexpr auto kEndings = std::to_array<std::string_view>(
        {"", ".txt", ".md", ".rst", ".html", ".license", ".lib", ".lesser", ".apache", ".mit"});
    const bool version = ending.size() > 1 && ending[1] >= '0' && ending[1] <= '9';  // "LICENSE-2.0"
    if (!version && std::ranges::find(kEndings, ending) == kEndings.end()) return false;
    if (lower(path).find("licenses/") != std::string::npos) return true;
    constexpr auto kParts = std::to_array<std::string_view>(
        {"license", "licence", "copying", "unlicense", "notice", "use_policy", "use-policy", "acceptable_use",
         "acceptable-use", "prohibited_use", "terms_of_use", "terms-of-use", "eula"});
    return std::ranges::any_of(kParts, [&](std::string_view part) { return name.find(part) != std::string::npos; });
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

class Reviewer {
 public:
    explicit Reviewer(const Subject& subject) : subject_(subject) { out_.subject = subject.name; }

    Review run() {
        for (const SubjectFile& f : subject_.files) read(f);
        out_.claims = origins_.claims;
        if (!subject_.record_licence.empty())
            out_.claims.push_back(
                {"the store's record", 0, subject_.record_licence, find_known(subject_.record_licence)});
        out_.findings = std::move(origins_.findings);
        tell_texts();
        tell_claims();
        tell_bases();
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
        const bool card = name == "readme.md";
        if (!card && !is_licence_name(f.name) && !alone) return;
        std::string text;
        try {
            text = read_text(f.at, kMaxText);
        } catch (const Error& e) {
            tell(Finding::Weight::warning, "file-unreadable",
                 fmt::format("{} could not be read: {}", f.name, e.message()), f.name);
            return;
        }
        if (card) {
            // The card at the top speaks for the model; others belong to parts of it.
            if (f.name == "README.md" || origins_.card.empty()) read_card(f.name, text, origins_);
            if (!alone) return;
        }
        if (out_.texts.size() >= kTexts) return;
        ReviewedFile file{f.name, "sha256:" + sha256_hex(std::as_bytes(std::span(text))), examine(text)};
        if (name.find("notice") != std::string::npos) notices_ += text + "\n";
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
                tell(Finding::Weight::conflict, "text-altered",
                     fmt::format("{} is not the {}: it was altered at {}.", f.name, m.known->name, places),
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

    void tell_claims() {
        const std::vector<const Match*> texts = out_.licences();
        const bool unknown =
            std::ranges::any_of(out_.texts, [](const ReviewedFile& f) { return f.report.unknown_terms; });
        const Claim* first = nullptr;
        for (const Claim& c : out_.claims) {
            if (c.where.ends_with("license_link")) continue;
            if (c.known == nullptr) {
                tell(
                    Finding::Weight::note, "claim-unknown",
                    fmt::format("{} says \"{}\", which names no licence and version that are known.", c.where, c.value),
                    place(c));
                continue;
            }
            if (first == nullptr) first = &c;
            if (!same(*first->known, *c.known))
                tell(Finding::Weight::conflict, "claims-contradict",
                     fmt::format("{} says {}, but {} says {}.", first->where, first->known->name, c.where,
                                 c.known->name),
                     place(c));
            if (texts.empty()) {
                if (unknown)
                    tell(Finding::Weight::conflict, "claim-contradicts-text",
                         fmt::format("{} says {}, but the licence file holds terms that are not known.", c.where,
                                     c.known->name),
                         place(c));
                continue;
            }
            if (std::ranges::none_of(texts, [&](const Match* m) { return same(*m->known, *c.known); }))
                tell(Finding::Weight::conflict, "claim-contradicts-text",
                     fmt::format("{} says {}, but the licence text is the {}.", c.where, c.known->name,
                                 texts[0]->known->name),
                     place(c));
        }
        if (texts.empty() && !unknown) {
            if (out_.claims.empty()) {
                tell(Finding::Weight::warning, "no-licence", "Nothing says under which terms this may be used.");
            } else {
                tell(
                    Finding::Weight::warning, "claim-without-text",
                    fmt::format("{} says \"{}\", but no licence text comes with it: a claim is not a grant with terms.",
                                out_.claims[0].where, out_.claims[0].value),
                    place(out_.claims[0]));
            }
        }
    }

    void tell_bases() {
        for (const Claim& base : origins_.bases) {
            if (base.known == nullptr) continue;
            const auto licences = out_.licences();
            const bool bound =
                std::ranges::any_of(licences, [&](const Match* m) { return same(*m->known, *base.known); }) ||
                std::ranges::any_of(out_.claims,
                                    [&](const Claim& c) { return c.known != nullptr && same(*c.known, *base.known); });
            if (!bound)
                tell(Finding::Weight::conflict, "base-terms-missing",
                     fmt::format("It is made from {}, whose terms ({}) follow what is made from it; they are not among "
                                 "the licences here.",
                                 base.value, base.known->name),
                     place(base));
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

    // The same licence, or the same family under one tag of a card (the Gemma terms of several dates are "gemma").
    static bool same(const Known& a, const Known& b) {
        const auto family = [](const Known& k) {
            return k.id.starts_with("LicenseRef-Gemma-") ? std::string("gemma") : k.id;
        };
        return family(a) == family(b);
    }
    static std::string place(const Claim& c) {
        const std::string file = c.where.substr(0, c.where.find(','));
        return c.line > 0 ? fmt::format("{}:{}", file, c.line) : file;
    }

    const Subject& subject_;
    Review out_;
    Origins origins_;
    std::string notices_;
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
    fs::recursive_directory_iterator walk(path, fs::directory_options::skip_permission_denied, fault);
    if (fault) throw Error(ErrorKind::io, fmt::format("{} could not be read: {}", path.string(), fault.message()));
    for (const auto end = fs::recursive_directory_iterator(); walk != end && out.files.size() < kFiles;
         walk.increment(fault)) {
        if (fault) break;
        const std::string name = walk->path().filename().string();
        if (walk->is_directory(fault) && (name.starts_with('.') || walk.depth() >= 3)) walk.disable_recursion_pending();
        if (walk->is_regular_file(fault))
            out.files.push_back({walk->path().lexically_relative(path).string(), walk->path()});
    }
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
