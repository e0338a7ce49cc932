// Claims, links, gates, limits and bases against the texts. Doubt is told with its words and its place.
#include "hold.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "addresses.h"
#include "file_names.h"
#include "freehold/base/printable.h"
#include "prose.h"
#include "units.h"

namespace freehold::licence {
namespace {

using Weight = Finding::Weight;

Finding& tell(Review& r, Weight weight, std::string key, std::string message, std::string where = {}) {
    r.findings.push_back({weight, std::move(key), std::move(message), std::move(where)});
    return r.findings.back();
}

bool unknown_texts(const Review& r) {
    return std::ranges::any_of(r.texts, [](const ReviewedFile& f) { return f.report.unknown_terms; });
}

bool is_free(const Known& k) {
    return k.category == LicenceCategory::permissive || k.category == LicenceCategory::copyleft;
}

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

// A tag of a family ("bsd", "openrail") says too little to contradict anything.
bool names_a_family(std::string_view value) {
    constexpr auto kFamilies =
        std::to_array<std::string_view>({"afl", "apache", "bsd", "cc", "custom", "deepfloyd-if-license", "gemma",
                                         "gfdl", "gpl", "lgpl", "llama", "open", "openrail", "unknown"});
    return std::ranges::find(kFamilies, lower(value)) != kFamilies.end();
}

// Is this name that of a licence here, in other words ("mit-license-2024" for the MIT License)?
bool resembles(std::string_view value, const Known& k) {
    const std::string text = lower(value), id = lower(k.id);
    const bool bounded = text.find("research") != std::string::npos || text.find("non") != std::string::npos ||
                         text.find("modified") != std::string::npos;
    return !bounded && text.find(id.substr(0, id.find_first_of("-0123456789"))) != std::string::npos;
}

// Names of terms that nobody here knows, beside the text of an open licence.
void unknown_claim(const Claim& c, Review& r) {
    const auto texts = r.licences();
    const bool open = !texts.empty() && std::ranges::all_of(texts, [](const Match* m) { return is_free(*m->known); });
    const bool like = std::ranges::any_of(texts, [&](const Match* m) { return resembles(c.value, *m->known); });
    // "other" with a license_name beside it: the name says which.
    const std::string file = c.where.substr(0, c.where.find(','));
    const bool explained = lower(c.value) == "other" && std::ranges::any_of(r.claims, [&](const Claim& o) {
                               return o.known != nullptr && o.where.starts_with(file);
                           });
    if (!open || like || explained || names_a_family(c.value)) {
        tell(r, Weight::note, "claim-unknown",
             fmt::format("{} says \"{}\", which names no licence and version that are known.", c.where, c.value),
             place_of(c));
        return;
    }
    tell(r, Weight::conflict, "claim-contradicts-text",
         fmt::format("{} says \"{}\", which is the name of other terms, but the licence text is the {}.", c.where,
                     c.value, texts[0]->known->name),
         place_of(c))
        .binds = true;
}

// The stem of a path's last part: "blob/main/LICENSE.md" -> "license".
std::string stem_of(std::string_view path) {
    std::string name = base_name(path.substr(0, path.find_first_of("?#")));
    if (const std::size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0) name.resize(dot);
    return name;
}

}  // namespace

std::string place_of(const Claim& c) {
    const std::string file = c.where.substr(0, c.where.find(','));
    return c.line > 0 ? fmt::format("{}:{}", file, c.line) : file;
}

void hold_claims(Review& r) {
    const std::vector<const Match*> texts = r.licences();
    const bool unknown = unknown_texts(r);
    const Claim* first = nullptr;
    for (const Claim& c : r.claims) {
        if (c.known == nullptr) {
            unknown_claim(c, r);
            continue;
        }
        if (first == nullptr) first = &c;
        if (!same_licence(*first->known, *c.known))
            tell(r, Weight::conflict, "claims-contradict",
                 fmt::format("{} says {}, but {} says {}: \"{}\"", first->where, first->known->name, c.where,
                             c.known->name, printable(c.value, 200)),
                 place_of(c));
        if (texts.empty()) {
            if (unknown)
                tell(r, Weight::conflict, "claim-contradicts-text",
                     fmt::format("{} says {}, but the licence file holds terms that are not known.", c.where,
                                 c.known->name),
                     place_of(c));
            continue;
        }
        if (std::ranges::none_of(texts, [&](const Match* m) { return same_licence(*m->known, *c.known); }))
            tell(r, Weight::conflict, "claim-contradicts-text",
                 fmt::format("{} says {} (\"{}\"), but the licence text is the {}.", c.where, c.known->name,
                             printable(c.value, 200), texts[0]->known->name),
                 place_of(c));
    }
    if (!texts.empty() || unknown) return;
    if (r.claims.empty())
        tell(r, Weight::warning, "no-licence", "Nothing says under which terms this may be used.");
    else
        tell(r, Weight::warning, "claim-without-text",
             fmt::format("{} says \"{}\", but no licence text comes with it: a claim is not a grant with terms.",
                         r.claims[0].where, r.claims[0].value),
             place_of(r.claims[0]));
}

void hold_links(const Origins& origins, const Subject& subject, Review& r) {
    for (const Claim& link : origins.links) {
        const bool address = link.value.find("://") != std::string::npos || link.value.starts_with("www.");
        const std::string stem = stem_of(link.value);
        const bool here = std::ranges::any_of(
            subject.files, [&](const SubjectFile& f) { return stem_of(f.name) == stem && is_licence_name(f.name); });
        if (here && (!address || !foreign_terms(link.value))) continue;
        if (address && !foreign_terms(link.value)) {
            tell(r, Weight::note, "link-not-read",
                 fmt::format("{} points to {}, which was not read.", link.where, link.value), place_of(link));
            continue;
        }
        Finding& f = tell(
            r, Weight::warning, address ? "link-to-terms" : "link-missing",
            address ? fmt::format("{} says that the terms stand at {}, which was not read.", link.where, link.value)
                    : fmt::format("{} says that the terms stand in {}, which is not among these files.", link.where,
                                  link.value),
            place_of(link));
        f.binds = address;
    }
}

void hold_gates(const Origins& origins, Review& r) {
    for (const Claim& gate : origins.gates) {
        for (const Said& s : terms_in_words(gate.value)) {
            Finding& f =
                tell(r, Weight::warning, "gated-terms",
                     fmt::format("{} asks who wants it to agree to other terms than the licence text: \"{}\" ({})",
                                 gate.where, printable(s.sentence, 300),
                                 s.limit ? s.meaning : fmt::format("It names the {}.", s.known->name)),
                     place_of(gate));
            const auto texts = r.licences();
            const bool same = !s.limit && std::ranges::any_of(
                                              texts, [&](const Match* m) { return same_licence(*m->known, *s.known); });
            if (same)
                r.findings.pop_back();
            else
                f.binds = true;
        }
        // "You agree to ... only ...": whatever it says, it is asked for beside the licence.
        const Document words(gate.value);
        for (const Unit& u : words.units()) {
            bool agree = false, bound = false;
            for (std::uint32_t i = u.words.begin; i < u.words.end; ++i) {
                agree =
                    agree || one_of(words.word(i), {"agree", "accept", "acknowledge", "confirm", "commit", "promise"});
                bound = bound || one_of(words.word(i), {"not", "only", "terms", "policy", "agreement", "commercial",
                                                        "research", "prohibited", "responsibly", "restrictions"});
            }
            if (!agree || !bound) continue;
            const bool told = std::ranges::any_of(
                r.findings, [&](const Finding& f) { return f.key == "gated-terms" && f.where == place_of(gate); });
            if (told) continue;
            tell(r, Weight::warning, "gated-terms",
                 fmt::format("{} asks who wants it to agree to more than the licence text: \"{}\"", gate.where,
                             printable(gate.value, 300)),
                 place_of(gate))
                .binds = true;
        }
    }
}

void hold_limits(const Origins& origins, Review& r) {
    const auto texts = r.licences();
    for (const Origins::Limit& l : origins.limits) {
        const auto says = [&](const Match* m) {
            if (m->clauses.empty()) return false;
            const Answer a = m->clauses[static_cast<std::size_t>(l.worry.question)].answer;
            const bool grant = l.worry.question == Question::commercial || l.worry.question == Question::modify ||
                               l.worry.question == Question::redistribute || l.worry.question == Question::outputs;
            return grant ? a == Answer::no || a == Answer::conditional : a == Answer::yes || a == Answer::conditional;
        };
        if (!texts.empty() && std::ranges::all_of(texts, says)) continue;
        Finding& f = tell(r, Weight::warning, "card-speaks-otherwise",
                          fmt::format("{} says what no licence text here says: \"{}\" ({})", l.file,
                                      printable(l.worry.quote.text, 300), l.worry.meaning),
                          fmt::format("{}:{}", l.file.substr(0, l.file.find(',')), l.worry.quote.first_line));
        f.touches = l.worry.question;
        // A use that a card advises against is no term; what may not be earned, passed on or trained is.
        f.binds = !l.of_parts && l.worry.question != Question::use_limits && l.worry.question != Question::termination;
    }
}

void hold_bases(Origins& origins, Review& r) {
    for (const std::string& name : origins.names)
        if (const Known* known = licence_of_base(name)) origins.bases.push_back({"its name", 0, name, known});
    for (const Claim& base : origins.bases) {
        if (base.known == nullptr) continue;
        const auto licences = r.licences();
        const bool bound =
            std::ranges::any_of(licences, [&](const Match* m) { return same_licence(*m->known, *base.known); }) ||
            std::ranges::any_of(
                r.claims, [&](const Claim& c) { return c.known != nullptr && same_licence(*c.known, *base.known); });
        if (!bound)
            tell(r, Weight::conflict, "base-terms-missing",
                 fmt::format("It is made from {} (so says {}), whose terms ({}) follow what is made from it; they are "
                             "not among the licences here.",
                             base.value, base.where, base.known->name),
                 place_of(base));
    }
}

}  // namespace freehold::licence
