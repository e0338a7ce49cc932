// Which licence covers which component. In this order: a line in the file itself or beside it; the nearest licence file
// in its folder or above that is for this kind of thing; a claim of the card or the metadata. A licence file for one
// part ("LICENSE-CODE") says nothing about the others.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "look.h"
#include "part_words.h"

namespace freehold::openness {
namespace {

namespace lic = freehold::licence;

struct Scope {
    std::string folder;        // "" or "data/": everything below it
    std::optional<Kind> kind;  // only for this kind
    bool weights = false;      // only for parameters
    bool listing = false;      // a text that others refer to by name (LICENSES/MIT.txt): covers nothing by itself
};

struct Text {
    Scope scope;
    std::string file;
    PartLicence licence;
};

PartLicence of_known(const lic::Known& known, PartLicence::Basis basis, std::string where) {
    PartLicence out;
    out.basis = basis;
    out.id = known.id;
    out.name = known.name;
    out.where = std::move(where);
    out.open = is_open(known.id, Lists::mended);
    out.osi = is_osi_approved(known.id) || known.osi_approved;
    return out;
}

PartLicence of_name(const std::string& name, PartLicence::Basis basis, std::string where) {
    if (const lic::Known* known = lic::find_known(name)) return of_known(*known, basis, std::move(where));
    PartLicence out;
    out.basis = basis;
    out.id = name;
    out.name = name;
    out.where = std::move(where);
    out.open = is_open(name, Lists::mended);
    out.osi = is_osi_approved(name);
    return out;
}

// A claim keeps its own words; a tag that names no date of its terms is told with the date that it was read as.
PartLicence of_claim(const lic::Claim& c) {
    std::string where = c.where;  // "README.md, license"
    if (const std::size_t comma = where.find(','); c.line > 0 && comma != std::string::npos)
        where.insert(comma, fmt::format(":{}", c.line));
    where += fmt::format(" (\"{}\")", c.value);
    if (c.known == nullptr) return of_name(c.value, PartLicence::Basis::claim, where);
    PartLicence out = of_known(*c.known, PartLicence::Basis::claim, where);
    if (lower(c.value) == "gemma")
        out.name = "Gemma Terms of Use (the tag names no date; read as that of 1 April 2024)";
    return out;
}

Scope scope_of(std::string_view path) {
    Scope out;
    const std::size_t slash = path.rfind('/');
    if (slash != std::string_view::npos) out.folder = std::string(path.substr(0, slash + 1));
    const std::string base = lower(path.substr(slash + 1));
    if (lower(out.folder).ends_with("licenses/") || lower(out.folder).ends_with("licences/")) out.listing = true;
    const auto names = [&](std::initializer_list<std::string_view> words) {
        return std::ranges::any_of(words, [&](std::string_view w) { return base.find(w) != std::string::npos; });
    };
    if (names({"code", "software"})) out.kind = Kind::code;
    if (names({"data"})) out.kind = Kind::data;
    if (names({"doc", "paper", "report"})) out.kind = Kind::document;
    if (names({"model", "weight", "param"})) {
        // A text for the model is for the model wherever it lies ("licenses/model.txt", "docs/LICENSE-MODEL.md").
        out.kind = Kind::data;
        out.weights = true;
        out.listing = false;
        if (lower(out.folder).find("licen") != std::string::npos || lower(out.folder).starts_with("doc"))
            out.folder.clear();
    }
    return out;
}

bool is_parameters(Component c) {
    return c == Component::parameters_final || c == Component::parameters_intermediate ||
           c == Component::optimiser_state || c == Component::tokenizer || c == Component::model_metadata;
}

// How a licence file stands for one component's file: larger is nearer; 0: not at all.
std::size_t nearness(const Scope& s, Component c, const std::string& file) {
    if (s.listing || !file.starts_with(s.folder)) return 0;
    if (s.kind && *s.kind != info(c).kind) return 0;
    if (s.weights && !is_parameters(c)) return 0;
    // "LICENSE-DATA" is for data sets; weights are data only to the framework.
    if (s.kind == Kind::data && !s.weights && is_parameters(c)) return 0;
    return 1 + 2 * s.folder.size() + (s.kind ? 1 : 0);
}

// The tag in the first lines of a file, or in "NAME.license" beside it.
std::string spdx_line(const File& f) {
    const auto lines = lines_of(f.text);
    for (std::size_t i = 0; i < std::min<std::size_t>(lines.size(), 30); ++i) {
        constexpr std::string_view kTag = "SPDX-License-Identifier:";
        const std::size_t at = lines[i].find(kTag);
        if (at == std::string_view::npos) continue;
        std::string_view rest = trimmed(lines[i].substr(at + kTag.size()));
        for (const std::string_view end : {"*/", "-->"})
            if (rest.ends_with(end)) rest = trimmed(rest.substr(0, rest.size() - end.size()));
        return std::string(rest.substr(0, 80));
    }
    return {};
}

class Licenser {
 public:
    Licenser(const std::vector<File>& files, const lic::Review& review)
        : files_(files), review_(review), bound_(bound_parts(files)) {
        for (const lic::ReviewedFile& f : review.texts) read(f);
        for (const lic::Claim& c : review.claims) {
            PartLicence one = of_claim(c);
            // "other" with a name beside it: the name says more.
            if (claim_.basis == PartLicence::Basis::none || (!known_claim_ && c.known != nullptr)) {
                claim_ = std::move(one);
                known_claim_ = c.known != nullptr;
            }
        }
    }

    PartLicence of(const Part& part) const {
        PartLicence out;
        bool first = true;
        for (const Evidence& e : part.evidence) {
            if (e.presence != Presence::here) continue;
            PartLicence one = of_file(part.component, e.file);
            hold_against_words(part.component, e.file, one);
            // The strictest of several files of one component decides.
            if (first || (out.open && !one.open)) out = std::move(one);
            first = false;
        }
        if (part.component == Component::parameters_final) {
            hold_against_findings(out);
            hold_against_claims(out);
        }
        return out;
    }

 private:
    void read(const lic::ReviewedFile& f) {
        Text text;
        text.file = f.name;
        text.scope = scope_of(f.name);
        PartLicence strictest;
        std::size_t found = 0;
        for (const lic::Match& m : f.report.matches) {
            if (m.known == nullptr || m.known->policy) continue;
            if (m.likeness != lic::Likeness::exact && m.likeness != lic::Likeness::altered) continue;
            PartLicence one = of_known(*m.known, PartLicence::Basis::text, fmt::format("{}:{}", f.name, m.first_line));
            if (m.likeness == lic::Likeness::altered) {
                one.id = "LicenseRef-altered-" + one.id;
                one.name = "altered " + one.name;
                one.open = one.osi = false;
            }
            if (++found == 1 || (strictest.open && !one.open)) strictest = std::move(one);
        }
        if (f.report.unknown_terms && found == 0) {
            strictest.basis = PartLicence::Basis::text;
            strictest.id = "LicenseRef-unknown";
            strictest.name = "terms that are not known";
            strictest.where = f.name;
            found = 1;
        }
        if (found == 0) return;
        text.licence = std::move(strictest);
        texts_.push_back(std::move(text));
    }

    PartLicence of_file(Component c, const std::string& file) const {
        const auto f = std::ranges::find(files_, file, &File::name);
        std::string tag = f != files_.end() ? spdx_line(*f) : std::string();
        std::string where = file;
        if (tag.empty()) {
            const auto beside = std::ranges::find(files_, file + ".license", &File::name);
            if (beside != files_.end()) {
                tag = spdx_line(*beside);
                where = beside->name;
            }
        }
        if (!tag.empty()) {
            PartLicence out = of_name(tag, PartLicence::Basis::claim, where);
            const auto text = std::ranges::find_if(texts_, [&](const Text& t) { return t.licence.id == out.id; });
            if (text != texts_.end()) {
                out.basis = PartLicence::Basis::text;
                out.where = fmt::format("{}, {}", where, text->licence.where);
            }
            return out;
        }
        std::size_t best = 0;
        const Text* chosen = nullptr;
        bool several = false;
        for (const Text& t : texts_) {
            const std::size_t near = nearness(t.scope, c, file);
            if (near == 0 || near < best) continue;
            if (near == best && chosen != nullptr && chosen->licence.id != t.licence.id) {
                several = true;
                if (!chosen->licence.open || t.licence.open) continue;
            } else if (near > best) {
                several = false;
            }
            best = near;
            chosen = &t;
        }
        if (chosen != nullptr) {
            PartLicence out = chosen->licence;
            if (several)
                out.trouble =
                    "Several licences lie beside each other; which one covers it, they do not say. The strictest is "
                    "taken.";
            return out;
        }
        // A card's tag speaks for the model; texts for other parts take nothing of it away.
        return claim_;
    }

    // A card of the data, or the head of a file of code.
    void hold_against_words(Component c, const std::string& file, PartLicence& out) const {
        if (!out.open) return;
        std::string trouble;
        const auto bound = std::ranges::find_if(
            bound_, [&](const BoundPart& b) { return b.component == c && file.starts_with(b.folder); });
        if (bound != bound_.end()) trouble = bound->trouble;
        const auto f = std::ranges::find(files_, file, &File::name);
        if (trouble.empty() && info(c).kind == Kind::code && f != files_.end()) trouble = bound_head(*f);
        if (trouble.empty()) return;
        out.open = out.osi = false;
        out.trouble = std::move(trouble);
    }

    // What the licence review found against the model's own terms counts here too.
    void hold_against_findings(PartLicence& out) const {
        for (const lic::Finding& f : review_.findings) {
            if ((f.key != "base-terms-missing" && !f.binds) || !out.open) continue;
            out.open = out.osi = false;
            out.trouble = f.message;
        }
    }

    // Somebody says of the model that its terms are not open, and no open text says why that should not count.
    void hold_against_claims(PartLicence& out) const {
        if (!out.open) return;
        for (const lic::Claim& c : review_.claims) {
            if (c.known == nullptr || is_open(c.known->id, Lists::mended)) continue;
            // A line beside one file is for that file alone, and was asked there.
            if (c.where.find(".license, SPDX") != std::string::npos) continue;
            out.open = out.osi = false;
            out.trouble = fmt::format("{} says {} (\"{}\"), which is not open.", c.where, c.known->name, c.value);
            return;
        }
    }

    const std::vector<File>& files_;
    const lic::Review& review_;
    std::vector<Text> texts_;
    std::vector<BoundPart> bound_;
    PartLicence claim_;
    bool known_claim_ = false;
};

}  // namespace

void license_parts(const std::vector<File>& files, const lic::Review& review, const lic::Subject&,
                   std::vector<Part>& parts) {
    const Licenser licenser(files, review);
    for (Part& part : parts)
        if (part.presence == Presence::here) part.licence = licenser.of(part);
}

}  // namespace freehold::openness
