// The Open Source AI Definition row by row, the classes of the framework, and the plain category that follows.
// A row is met, not met, or not decidable from files; this is a report, no certificate.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "look.h"

namespace freehold::openness {
namespace {

using C = Component;

// "training-code in train.py, under the MIT License"
std::string found_text(const Part& p) {
    if (p.evidence.empty()) return {};
    const Evidence& e = p.evidence.front();
    std::string out = e.file;
    if (e.line > 0) out += fmt::format(":{}", e.line);
    out += fmt::format(": {}", e.what);
    const auto more = std::ranges::count_if(p.evidence, [](const Evidence& x) { return x.presence == Presence::here; });
    if (more > 1) out += fmt::format(" (and {} more)", more - 1);
    return out.ends_with('.') ? out : out + ".";
}

std::string licence_text(const PartLicence& l) {
    switch (l.basis) {
        case PartLicence::Basis::none:
            return "No licence covers it.";
        case PartLicence::Basis::claim:
            return fmt::format("{} says {}; no licence text comes along.", l.where, l.name);
        case PartLicence::Basis::text:
            break;
    }
    return fmt::format("Under the {} ({}).", l.name, l.where);
}

// One component against the definition: there, and under terms that the OSI approved.
void judge_part(const Part& p, ChecklistItem& item) {
    const PartLicence& l = p.licence;
    if (p.presence != Presence::here) {
        item.status = p.presence == Presence::pointed ? Status::undecided : Status::not_met;
        if (p.presence == Presence::absent)
            item.missing = fmt::format("{}: not here, and nothing says where.", info(p.component).title);
        else
            item.missing = fmt::format("{}: {}.", info(p.component).title, presence_title(p.presence));
        item.found = found_text(p);
        return;
    }
    item.found = found_text(p) + " " + licence_text(l);
    if (l.basis == PartLicence::Basis::none) {
        item.missing = "Terms: without a licence all rights are reserved.";
    } else if (!l.open) {
        item.missing =
            l.trouble.empty()
                ? fmt::format("Open terms: {}, neither approved by the OSI nor open by another list.", l.name)
                : "Open terms: " + l.trouble;
    } else if (l.basis == PartLicence::Basis::claim) {
        item.status = Status::undecided;
        item.missing = "The licence text: a name alone grants nothing.";
    } else if (!l.osi) {
        item.status = Status::undecided;
        item.missing =
            fmt::format("Approval by the OSI: the {} is open by other lists, but the OSI has not approved it.", l.name);
    } else {
        item.status = Status::met;
    }
}

std::string person(const Attestation& a) {
    return fmt::format("{} ({}) attested on {}: {}{}", a.name, a.role, a.date.substr(0, 10), a.answer ? "yes" : "no",
                       a.statement.empty() ? "." : fmt::format(", \"{}\"", a.statement));
}

// Data information: the data itself under open terms, or documents that describe it, which only a person can say to be
// complete.
void judge_data(const Report& r, ChecklistItem& item) {
    const Part& data = r.part(C::datasets);
    if (data.presence == Presence::here && data.licence.basis == PartLicence::Basis::text && data.licence.open) {
        item.missing = doubt_about_data(r);
        item.status = item.missing.empty() ? Status::met : Status::undecided;
        item.found = found_text(data) + " " + licence_text(data.licence);
    } else {
        std::string documents;
        bool open = false;
        for (const C c : {C::data_card, C::technical_report, C::research_paper}) {
            const Part& p = r.part(c);
            if (p.presence != Presence::here) continue;
            documents += fmt::format("{}{}: {}", documents.empty() ? "" : " ", info(c).title, found_text(p));
            open = open || p.licence.open;
        }
        if (data.presence == Presence::here)
            documents = found_text(data) + " " + licence_text(data.licence) + " " + documents;
        std::string unsaid;
        for (const DataTopic& t : r.topics)
            if (t.where.empty()) unsaid += (unsaid.empty() ? "" : "; ") + std::string(t.title);
        item.found = documents;
        if (documents.empty()) {
            item.missing =
                data.presence == Presence::pointed
                    ? fmt::format("A description of the training data; there is only this: {}", found_text(data))
                    : "The training data, or a data card, report or paper that describes it.";
        } else {
            item.status = open || data.presence == Presence::here ? Status::undecided : Status::not_met;
            item.missing = unsaid.empty()
                               ? "That the description is complete: no file can show it; a person may attest it "
                                 "(data-described)."
                               : fmt::format(
                                     "These documents do not speak of: {}. And no file can show that the rest is "
                                     "complete; a person may attest it (data-described).",
                                     unsaid);
            if (!open && data.presence != Presence::here)
                item.missing = "Open terms for the documents. " + item.missing;
        }
    }
    if (data.presence == Presence::here && !data.licence.open && !data.licence.trouble.empty())
        item.missing = "Open terms: " + data.licence.trouble + (item.missing.empty() ? "" : " ") + item.missing;
    // The folder's own words that what lies here is not the data, or not all of it.
    if (data.presence == Presence::hollow) item.found = found_text(data) + (item.found.empty() ? "" : " ") + item.found;
    item.with_attestation = item.status;
    if (const Attestation* a = latest(r.attestations, "data-described")) {
        item.attested = person(*a);
        if (!a->answer)
            item.with_attestation = Status::not_met;
        else if (item.status == Status::undecided)
            item.with_attestation = Status::met;
    }
}

}  // namespace

std::string doubt_about_data(const Report& r) {
    for (const Evidence& e : r.part(C::datasets).evidence)
        if (e.presence == Presence::pointed && e.key.find("dataset") != std::string::npos)
            return fmt::format(
                "That the data here is what it was trained on: {} {}; no file shows that these are the same.", e.file,
                e.what);
    for (const Base& b : r.bases)
        if (!b.here)
            return fmt::format(
                "The data of {}, from which it was made ({}): what lies here is not all that it learned from.", b.name,
                b.where);
    return {};
}

namespace {

std::vector<ChecklistItem> make_checklist(const Report& r) {
    struct Row {
        const char* key;
        const char* group;
        C component;
    };
    constexpr auto kRows = std::to_array<Row>({{"data-processing-code", "Code", C::data_code},
                                               {"training-code", "Code", C::training_code},
                                               {"inference-code", "Code", C::inference_code},
                                               {"supporting-tools", "Code", C::supporting_tools},
                                               {"architecture", "Model", C::architecture_code},
                                               {"parameters", "Model", C::parameters_final}});
    std::vector<ChecklistItem> out;
    ChecklistItem data;
    data.key = "data-information";
    data.group = "Data";
    data.title = "Data information (data sets, or data card, report and paper together)";
    data.asked = "terms that the OSI approved";
    judge_data(r, data);
    out.push_back(std::move(data));
    for (const Row& row : kRows) {
        ChecklistItem item;
        item.key = row.key;
        item.group = row.group;
        item.title = info(row.component).title;
        item.asked =
            row.component == C::parameters_final ? "terms that the OSI approved" : "a licence that the OSI approved";
        judge_part(r.part(row.component), item);
        item.with_attestation = item.status;
        if (row.component == C::training_code) {
            if (const Attestation* a = latest(r.attestations, "code-complete")) {
                item.attested = person(*a);
                if (!a->answer) item.with_attestation = Status::not_met;
            }
        }
        out.push_back(std::move(item));
    }
    return out;
}

std::vector<Declared> declared(const Report& r, bool claims) {
    std::vector<Declared> out;
    for (const Part& p : r.parts) {
        if (p.presence != Presence::here) continue;
        const PartLicence& l = p.licence;
        const bool counts = l.basis == PartLicence::Basis::text || (claims && l.basis == PartLicence::Basis::claim);
        out.push_back({p.component, !counts                       ? std::string()
                                    : l.trouble.empty() || l.open ? l.id
                                                                  : l.id + " (contradicted)"});
    }
    return out;
}

bool open_here(const Part& p) {
    return p.presence == Presence::here && p.licence.open;
}

// Where the weights are and what their terms rest on.
std::string terms_text(const PartLicence& l) {
    if (l.basis == PartLicence::Basis::claim)
        return fmt::format(
            "The weights are here. By the word of {} they are under the {}; the text of that licence is not here.",
            l.where, l.name);
    return fmt::format("The weights are here, under the {} ({}).", l.name, l.where);
}

// "Not met: training code, data processing code. Not decidable: parameters."
std::string lacking(const Report& r) {
    std::string out;
    for (const Status s : {Status::not_met, Status::undecided}) {
        std::string names;
        for (const ChecklistItem& i : r.checklist) {
            if (i.status != s) continue;
            const std::string_view title = i.title;
            names += (names.empty() ? "" : ", ") + lower(title.substr(0, title.find(" (data")));
        }
        if (!names.empty()) out += fmt::format(" {}: {}.", s == Status::not_met ? "Not met" : "Not decidable", names);
    }
    return out;
}

void categorise(Report& r) {
    const Part& weights = r.part(C::parameters_final);
    const PartLicence& l = weights.licence;
    if (weights.presence != Presence::here) {
        r.category = Category::api_only;
        r.category_reason =
            weights.presence == Presence::hollow
                ? fmt::format("There are no weights here that could be used: {}", found_text(weights))
                : "There are no weights here. Who cannot hold the weights can only ask somebody else's service.";
    } else if (!l.open) {
        r.category = Category::restricted_weights;
        if (l.basis == PartLicence::Basis::none)
            r.category_reason = "The weights are here, but nothing says under which terms: all rights are reserved.";
        else
            r.category_reason = terms_text(l) + (l.trouble.empty() ? " That is not an open licence." : " " + l.trouble);
    } else {
        const auto all = [&](std::initializer_list<C> list) {
            return std::ranges::all_of(list, [&](C c) { return open_here(r.part(c)); });
        };
        const bool met =
            std::ranges::all_of(r.checklist, [](const ChecklistItem& i) { return i.status == Status::met; });
        const bool tooling = all({C::architecture_code, C::training_code, C::inference_code, C::evaluation_code});
        r.category = met ? Category::open_source_ai : tooling ? Category::open_tooling : Category::permissive_weights;
        r.category_reason = terms_text(l);
        if (met)
            r.category_reason += " Every row of the Open Source AI Definition is met by what lies here.";
        else if (tooling)
            r.category_reason += " The code to build, train, run and measure it is open too.";
        if (!met) r.category_reason += " Rows of the Open Source AI Definition:" + lacking(r);
    }
    r.by_claim = weights.presence == Presence::here && l.basis == PartLicence::Basis::claim;
    r.category_attested = r.category;
    const bool attested =
        std::ranges::all_of(r.checklist, [](const ChecklistItem& i) { return i.with_attestation == Status::met; });
    const bool denied = std::ranges::any_of(r.checklist, [](const ChecklistItem& i) {
        return i.status == Status::met && i.with_attestation != Status::met;
    });
    if (attested && r.category >= Category::permissive_weights) r.category_attested = Category::open_source_ai;
    if (denied && r.category == Category::open_source_ai) r.category_attested = Category::open_tooling;
}

}  // namespace

void judge_report(Report& r) {
    r.mof = evaluate(declared(r, false), Lists::mended);
    r.mof_claimed = evaluate(declared(r, true), Lists::mended);
    r.checklist = make_checklist(r);
    categorise(r);
}

const char* presence_key(Presence p) noexcept {
    constexpr std::array<const char*, 5> kKeys = {"absent", "hollow", "named", "pointed", "here"};
    return kKeys[static_cast<std::size_t>(p)];
}
const char* presence_title(Presence p) noexcept {
    constexpr std::array<const char*, 5> kTitles = {"not here", "a file by that name, but nothing in it that counts",
                                                    "only named", "only pointed to", "here"};
    return kTitles[static_cast<std::size_t>(p)];
}
const char* sureness_key(Sureness s) noexcept {
    constexpr std::array<const char*, 3> kKeys = {"hint", "likely", "certain"};
    return kKeys[static_cast<std::size_t>(s)];
}
const char* basis_key(PartLicence::Basis b) noexcept {
    constexpr std::array<const char*, 3> kKeys = {"none", "claim", "text"};
    return kKeys[static_cast<std::size_t>(b)];
}
const char* status_key(Status s) noexcept {
    constexpr std::array<const char*, 3> kKeys = {"not met", "not decidable", "met"};
    return kKeys[static_cast<std::size_t>(s)];
}
const char* category_key(Category c) noexcept {
    constexpr std::array<const char*, 5> kKeys = {"api-only", "open-weights-restricted", "open-weights-permissive",
                                                  "open-tooling", "open-source-ai"};
    return kKeys[static_cast<std::size_t>(c)];
}
const char* category_title(Category c) noexcept {
    constexpr std::array<const char*, 5> kTitles = {"API-only: no weights here",
                                                    "Open weights with custom restrictions", "Open weights, permissive",
                                                    "Open tooling: weights and code", "Open source AI"};
    return kTitles[static_cast<std::size_t>(c)];
}
const char* verdict_key(ClaimCheck::Verdict v) noexcept {
    constexpr std::array<const char*, 4> kKeys = {"met", "not decidable", "unsupported", "contradicted"};
    return kKeys[static_cast<std::size_t>(v)];
}

}  // namespace freehold::openness
