// Needs beyond the licence: what must be there, under open terms, for somebody to go on from it.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "look.h"

namespace freehold::openness {
namespace {

namespace lic = freehold::licence;
using lic::Verdict;

constexpr std::array<lic::Need, 13> kNeeds = {{
    {"weights", "hold the weights in the hand"},
    {"open-weights", "have them under open terms"},
    {"data-information", "know the training data well enough to build the like"},
    {"training-data", "have the training data itself"},
    {"training-code", "train it again or further with its own code"},
    {"inference-code", "run it with its own code"},
    {"evaluation-code", "measure it as its makers did"},
    {"evaluation-results", "know what it scored"},
    {"checkpoints", "have weights from during the training"},
    {"licence-text", "have the words of the licence of the weights"},
    {"open-source-ai", "call it open source AI by the definition"},
    {"mof-class-3", "have class III or better of the Model Openness Framework"},
    {"mof-class-2", "have class II or better"},
}};

lic::Judgement of_part(const Report& r, const char* need, Component c, bool trust) {
    const Part& p = r.part(c);
    lic::Judgement j;
    j.need = need;
    if (!p.evidence.empty()) j.where = p.evidence.front().file;
    const char* title = info(c).title;
    if (p.presence == Presence::pointed) {
        j.reason = fmt::format("{}: only pointed to ({}); it was not looked at.", title, p.evidence.front().what);
        return j;
    }
    if (p.presence != Presence::here) {
        j.verdict = Verdict::no;
        j.reason = p.evidence.empty() ? fmt::format("{}: not here.", title)
                                      : fmt::format("{}: {}, {}: {}.", title, presence_title(p.presence),
                                                    p.evidence.front().file, p.evidence.front().what);
        return j;
    }
    const PartLicence& l = p.licence;
    const std::string place = fmt::format("{}: here, {}.", title, p.evidence.front().what);
    if (l.basis == PartLicence::Basis::none) {
        j.reason = place + " No licence covers it.";
    } else if (!l.open) {
        j.reason = fmt::format("{} Its terms are not open: {}. Read them with the needs of the licence. {}", place,
                               l.name, l.trouble);
    } else if (l.basis == PartLicence::Basis::claim && !trust) {
        j.reason = fmt::format("{} {} says {}, but its text does not come along.", place, l.where, l.name);
    } else {
        j.verdict = Verdict::yes;
        j.reason = fmt::format("{} Under the {}.", place, l.name);
    }
    return j;
}

lic::Judgement simple(const char* need, Verdict v, std::string reason) {
    lic::Judgement j;
    j.need = need;
    j.verdict = v;
    j.reason = std::move(reason);
    return j;
}

lic::Judgement data_information(const Report& r) {
    const ChecklistItem& item = r.checklist.front();
    std::string reason = item.found;
    if (!item.missing.empty()) reason += (reason.empty() ? "Missing: " : " Missing: ") + item.missing;
    if (!item.attested.empty()) reason += fmt::format(" {}", item.attested);
    const Verdict v = item.status == Status::met       ? Verdict::yes
                      : item.status == Status::not_met ? Verdict::no
                                                       : Verdict::ask;
    return simple("data-information", v, reason);
}

lic::Judgement of_class(const Report& r, const char* need, int wanted, bool trust) {
    const MofResult& m = trust ? r.mof_claimed : r.mof;
    const auto reaches = [&](const MofResult& x) { return x.mof_class != 0 && x.mof_class <= wanted; };
    if (reaches(m)) return simple(need, Verdict::yes, class_title(m.mof_class) + ".");
    std::string missing;
    for (const Component c : m.missing_for(wanted))
        missing += (missing.empty() ? "" : ", ") + std::string(info(c).title);
    if (reaches(r.mof_claimed))
        return simple(need, Verdict::ask,
                      fmt::format("{} only if claimed licences are taken at their word; by texts there lack: {}.",
                                  class_title(r.mof_claimed.mof_class), missing));
    return simple(need, Verdict::no, fmt::format("There lack: {}.", missing));
}

lic::Judgement open_source_ai(const Report& r) {
    if (r.category == Category::open_source_ai) return simple("open-source-ai", Verdict::yes, r.category_reason);
    const bool refused =
        std::ranges::any_of(r.checklist, [](const ChecklistItem& i) { return i.status == Status::not_met; });
    return simple("open-source-ai", refused || r.category <= Category::restricted_weights ? Verdict::no : Verdict::ask,
                  r.category_reason);
}

lic::Judgement judge_one(const Report& r, const std::string& need, bool trust) {
    using C = Component;
    if (need == "data-information") return data_information(r);
    if (need == "open-weights") return of_part(r, "open-weights", C::parameters_final, trust);
    if (need == "training-data") {
        lic::Judgement j = of_part(r, "training-data", C::datasets, trust);
        if (const std::string doubt = doubt_about_data(r); j.verdict == Verdict::yes && !doubt.empty()) {
            j.verdict = Verdict::ask;
            j.reason += " Not shown: " + doubt;
        }
        return j;
    }
    if (need == "training-code") return of_part(r, "training-code", C::training_code, trust);
    if (need == "inference-code") return of_part(r, "inference-code", C::inference_code, trust);
    if (need == "evaluation-code") return of_part(r, "evaluation-code", C::evaluation_code, trust);
    if (need == "evaluation-results") return of_part(r, "evaluation-results", C::evaluation_results, trust);
    if (need == "checkpoints") return of_part(r, "checkpoints", C::parameters_intermediate, trust);
    if (need == "open-source-ai") return open_source_ai(r);
    if (need == "mof-class-3") return of_class(r, "mof-class-3", 3, trust);
    if (need == "mof-class-2") return of_class(r, "mof-class-2", 2, trust);
    const Part& weights = r.part(C::parameters_final);
    if (need == "weights")
        return simple(
            "weights", weights.presence == Presence::here ? Verdict::yes : Verdict::no,
            weights.presence == Presence::here ? weights.evidence.front().what + "." : "There are no weights here.");
    const PartLicence& l = weights.licence;
    return simple("licence-text", l.basis == PartLicence::Basis::text ? Verdict::yes : Verdict::no,
                  l.basis == PartLicence::Basis::text ? fmt::format("{}: {}.", l.where, l.name)
                  : l.basis == PartLicence::Basis::claim
                      ? fmt::format("{} says {}; the text is not here.", l.where, l.name)
                      : std::string("No licence covers the weights."));
}

}  // namespace

std::span<const lic::Need> openness_needs() noexcept {
    return kNeeds;
}

std::vector<lic::Judgement> licence_answers(const Report& report) {
    std::vector<std::string> all;
    for (const lic::Need& n : lic::all_needs()) all.emplace_back(n.name);
    return lic::judge(report.review, all);
}

std::vector<lic::Judgement> judge(const Report& report, std::span<const std::string> needs, bool trust_claims) {
    std::vector<lic::Judgement> out;
    for (const std::string& need : needs) {
        if (std::ranges::any_of(kNeeds, [&](const lic::Need& n) { return need == n.name; })) {
            out.push_back(judge_one(report, need, trust_claims));
            continue;
        }
        if (std::ranges::none_of(lic::all_needs(), [&](const lic::Need& n) { return need == n.name; })) {
            std::string names;
            for (const lic::Need& n : lic::all_needs()) names += (names.empty() ? "" : ", ") + std::string(n.name);
            for (const lic::Need& n : kNeeds) names += fmt::format(", {}", n.name);
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is no need that is known.", need),
                        "Needs: " + names + ".");
        }
        const std::vector<std::string> one = {need};
        out.push_back(lic::judge(report.review, one, trust_claims).at(0));
    }
    return out;
}

}  // namespace freehold::openness
