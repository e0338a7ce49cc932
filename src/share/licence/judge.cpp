// Needs held against the clauses: the strictest licence decides, and doubt never becomes a yes.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "claims.h"
#include "freehold/base/error.h"
#include "freehold/licence/review.h"
#include "library.h"

namespace freehold::licence {
namespace {

// How an answer to a question becomes a verdict on a need.
enum class Reading : std::uint8_t {
    permission,  // yes is yes, silence is doubt
    freedom,     // as permission, but silence is yes: nothing forbids it
    absence,     // the need is that there be none: no and silence are yes
    assurance,   // as absence, but silence is doubt: the law decides what the text does not
};

struct Rule {
    Need need;
    Question question;
    Reading reading;
};

constexpr auto kRules = std::to_array<Rule>({
    {{"commercial", "use it to earn money"}, Question::commercial, Reading::permission},
    {{"modify", "change it"}, Question::modify, Reading::permission},
    {{"fine-tune", "train it further"}, Question::modify, Reading::permission},
    {{"redistribute", "pass copies and changed copies on"}, Question::redistribute, Reading::permission},
    {{"train-others", "train other models with its outputs"}, Question::outputs, Reading::freedom},
    {{"no-naming", "show no name or sentence"}, Question::naming, Reading::absence},
    {{"no-attribution", "keep no notices"}, Question::attribution, Reading::absence},
    {{"no-share-alike", "choose other terms for what is made from it"}, Question::share_alike, Reading::absence},
    {{"no-use-limits", "use it for anything that is lawful"}, Question::use_limits, Reading::absence},
    {{"no-threshold", "grow without a bound of users or revenue"}, Question::threshold, Reading::absence},
    {{"patents", "have the patents licensed"}, Question::patent, Reading::permission},
    {{"irrevocable", "keep the rights whatever happens"}, Question::termination, Reading::assurance},
    {{"no-remote-control", "be safe from restriction from afar and later changes"},
     Question::changes,
     Reading::absence},
});
constexpr auto kNeeds = [] {
    std::array<Need, kRules.size()> out{};
    for (std::size_t i = 0; i < kRules.size(); ++i) out[i] = kRules[i].need;
    return out;
}();

Verdict read(Answer a, Reading how) {
    const bool none = how == Reading::absence || how == Reading::assurance;
    switch (a) {
        case Answer::yes:
            return none ? Verdict::no : Verdict::yes;
        case Answer::no:
            return none ? Verdict::yes : Verdict::no;
        case Answer::silent:
            return how == Reading::permission || how == Reading::assurance ? Verdict::ask : Verdict::yes;
        case Answer::conditional:
        case Answer::unclear:
            break;
    }
    return Verdict::ask;
}

void stricter(Judgement& all, Judgement one, bool& first) {
    if (first || one.verdict > all.verdict) all = std::move(one);
    first = false;
}

Judgement by_text(const Rule& rule, const ReviewedFile& file, const Match& m) {
    Judgement j;
    j.need = rule.need.name;
    j.where = file.name;
    if (m.clauses.empty()) {
        j.reason = fmt::format("The {} was recognised, but its clauses are not in the table.", m.known->name);
        return j;
    }
    const Clause& c = m.clauses[static_cast<std::size_t>(rule.question)];
    j.verdict = read(c.answer, rule.reading);
    j.quotes = c.quotes;
    j.reason = fmt::format("{}: {}", m.known->name, c.meaning);
    if (m.likeness == Likeness::altered) {
        if (j.verdict == Verdict::yes) j.verdict = Verdict::ask;
        j.reason = fmt::format("The text is the {} with changes. {}", m.known->name, c.meaning);
    }
    return j;
}

Judgement by_claim(const Rule& rule, const Claim& claim, bool trust) {
    Judgement j;
    j.need = rule.need.name;
    j.where = claim.where;
    const Template* t = claim.known != nullptr ? Library::get().text_of(*claim.known) : nullptr;
    const auto* fact = t != nullptr ? &t->facts[static_cast<std::size_t>(rule.question)] : nullptr;
    if (fact == nullptr || !*fact) {
        j.reason = fmt::format("{} says \"{}\", which decides nothing, and there is no licence text.", claim.where,
                               claim.value);
        return j;
    }
    j.verdict = read((*fact)->answer, rule.reading);
    j.reason = fmt::format("{} says {}: {}", claim.where, claim.known->name, (*fact)->meaning);
    if (j.verdict == Verdict::yes && !trust) {
        j.verdict = Verdict::ask;
        j.reason += " This would be a yes, but it is a claim only: no licence text comes with it.";
    }
    return j;
}

bool agrees(const Review& review, const Known& claimed) {
    const auto texts = review.licences();
    return std::ranges::any_of(texts, [&](const Match* m) { return same_licence(*m->known, claimed); });
}

// Why a yes from the texts is none: what could not be read, or what the card says beside them.
const Finding* doubt_of(const Review& review, Question question) {
    const auto found = std::ranges::find_if(review.findings, [&](const Finding& f) {
        return f.key == "text-unreadable" || f.key == "file-unreadable" || f.key == "files-left-out" ||
               f.key == "gated-terms" || f.key == "link-to-terms" || f.key == "link-missing" || f.touches == question;
    });
    return found == review.findings.end() ? nullptr : &*found;
}

Judgement judge_one(const Review& review, const Rule& rule, bool trust) {
    Judgement all;
    all.need = rule.need.name;
    bool first = true;
    for (const ReviewedFile& f : review.texts) {
        for (const Match& m : f.report.matches) {
            if (m.known == nullptr) continue;
            if (m.known->policy) {
                if (rule.question != Question::use_limits) continue;
                Judgement j{rule.need.name, Verdict::no, fmt::format("{} forbids uses.", m.known->name), {}, f.name};
                stricter(all, std::move(j), first);
            } else if (m.likeness == Likeness::exact || m.likeness == Likeness::altered) {
                stricter(all, by_text(rule, f, m), first);
            }
        }
        if (!f.report.unknown_terms) continue;
        Judgement j{
            rule.need.name, Verdict::ask, fmt::format("{} holds terms that are not known.", f.name), {}, f.name};
        for (const Worry& w : f.report.worries) {
            if (w.question != rule.question) continue;
            j.reason = fmt::format("{} holds terms that are not known, and by their words: {}", f.name, w.meaning);
            j.quotes.push_back(w.quote);
        }
        stricter(all, std::move(j), first);
    }
    for (const Claim& c : review.claims) {
        // Where there are texts, a claim that agrees adds nothing, and one that does not is a reason to ask.
        if (first == false && !review.licences().empty() && (c.known == nullptr || agrees(review, *c.known))) continue;
        if (c.known == nullptr && std::ranges::any_of(review.claims, [](const Claim& o) { return o.known != nullptr; }))
            continue;
        stricter(all, by_claim(rule, c, trust), first);
    }
    if (first) all.reason = "Nothing says under which terms this may be used.";
    const auto conflict = std::ranges::find_if(review.findings, [](const Finding& f) {
        return f.weight == Finding::Weight::conflict && f.key != "text-altered";
    });
    if (all.verdict == Verdict::yes && conflict != review.findings.end()) {
        all.verdict = Verdict::ask;
        all.reason += " But there is a contradiction: " + conflict->message;
    }
    if (const Finding* f = doubt_of(review, rule.question); all.verdict == Verdict::yes && f != nullptr) {
        all.verdict = Verdict::ask;
        all.reason += " But: " + f->message;
    }
    return all;
}

}  // namespace

const char* verdict_key(Verdict v) noexcept {
    return v == Verdict::yes ? "yes" : v == Verdict::no ? "no" : "ask counsel";
}

std::span<const Need> all_needs() noexcept {
    return kNeeds;
}

std::vector<Judgement> judge(const Review& review, std::span<const std::string> needs, bool trust_claims) {
    std::vector<Judgement> out;
    for (const std::string& need : needs) {
        const auto rule = std::ranges::find_if(kRules, [&](const Rule& r) { return need == r.need.name; });
        if (rule == kRules.end()) {
            std::string names;
            for (const Need& n : kNeeds) names += (names.empty() ? "" : ", ") + std::string(n.name);
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is no need that is known.", need),
                        "Needs: " + names + ".");
        }
        out.push_back(judge_one(review, *rule, trust_claims));
    }
    return out;
}

const char* not_legal_advice() noexcept {
    return "This is not legal advice. It compares words with known texts; what they mean for you, a lawyer says.";
}

}  // namespace freehold::licence
