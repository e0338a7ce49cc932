// freehold openness: which parts of a model are open, under which terms, and what of that can be shown.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "../console.h"
#include "../session.h"
#include "freehold/base/file.h"
#include "freehold/openness/report.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

namespace open = freehold::openness;
namespace lic = freehold::licence;

constexpr int kSomeNo = 1, kSomeAsk = 11;  // as `licence --need`

struct Options {
    std::vector<std::string> models, needs;
    std::string html;
    bool json = false, sarif = false, trust_claims = false, brief = false;
    // attest
    std::string model, item, answer, name, role, statement;
    bool attest_json = false, items = false;
};

std::filesystem::path key_folder() {
    return default_home() / "attestations";
}

std::string now() {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

std::string licence_line(const open::PartLicence& l) {
    if (l.basis == open::PartLicence::Basis::none) return "no licence";
    std::string out = l.id.starts_with("LicenseRef-") || l.id.empty() ? l.name : l.id;
    if (l.basis == open::PartLicence::Basis::claim) out += ", claimed only";
    if (!l.open) out += ", not open";
    return out;
}

void add_components(Facts& facts, const open::Report& r, bool brief) {
    facts.heading("Components");
    for (const open::Part& p : r.parts) {
        std::string text = open::presence_title(p.presence);
        if (p.presence == open::Presence::here) {
            if (p.sureness != open::Sureness::certain) text += fmt::format(" ({})", open::sureness_key(p.sureness));
            text += fmt::format("; {}", licence_line(p.licence));
        }
        std::size_t shown = 0;
        for (const open::Evidence& e : p.evidence) {
            if (++shown > (brief ? 1U : 4U)) break;
            text += fmt::format("\n{}{}{}: {}", e.file, e.line > 0 ? fmt::format(":{}", e.line) : "",
                                e.key.empty() ? "" : fmt::format(", {}", e.key), e.what);
            if (!brief) text += fmt::format(" [{}]", e.digest.substr(0, 19));
        }
        facts.add(open::info(p.component).title, text);
    }
}

void add_judgements(Facts& facts, const open::Report& r) {
    facts.heading("Open Source AI Definition 1.0");
    for (const open::ChecklistItem& i : r.checklist) {
        std::string text = open::status_key(i.status);
        if (!i.found.empty()) text += "\nfound: " + i.found;
        if (!i.missing.empty()) text += "\nmissing: " + i.missing;
        if (!i.attested.empty())
            text += fmt::format("\na person's word, no evidence: {} With it: {}.", i.attested,
                                open::status_key(i.with_attestation));
        facts.add(i.key, text);
    }
    facts.heading("Model Openness Framework 1.0");
    facts.add("class", fmt::format("{} by what is here with its licence text{}", open::class_title(r.mof.mof_class),
                                   r.mof.mof_class == r.mof_claimed.mof_class
                                       ? ""
                                       : fmt::format("; {} if claimed licences are taken at their word",
                                                     open::class_title(r.mof_claimed.mof_class))));
    facts.add("progress", fmt::format("III {:.0f} %, II {:.0f} %, I {:.0f} %", r.mof.progress[0], r.mof.progress[1],
                                      r.mof.progress[2]));
    if (r.mof.mof_class != 1) {
        std::string missing;
        for (const open::Component c : r.mof.missing_for(r.mof.mof_class == 0 ? 3 : r.mof.mof_class - 1))
            missing += fmt::format("{}{} ({})", missing.empty() ? "" : ", ", open::info(c).title,
                                   open::standing_key(r.mof.items[static_cast<std::size_t>(c)].standing));
        facts.add("missing", fmt::format("for {}: {}",
                                         open::class_title(r.mof.mof_class == 0 ? 3 : r.mof.mof_class - 1), missing));
    }
}

std::string report_text(const open::Report& r, bool brief, int width) {
    Facts facts;
    facts.heading(r.subject);
    facts.add("category", styled(fmt::format("{}{}", open::category_title(r.category), r.by_claim ? " (by claim)" : ""),
                                 Style::bold) +
                              "\n" + r.category_reason);
    if (r.category_attested != r.category)
        facts.add("as attested", fmt::format("{}, if what people attest is taken at its word",
                                             open::category_title(r.category_attested)));
    facts.add("files", fmt::format("{}, {}, {}", r.files, human_bytes(r.bytes), r.digest));
    for (const open::Base& b : r.bases)
        facts.add("made from", fmt::format("{} ({}{})", b.name, b.where, b.here ? ", in this store" : ""));
    add_components(facts, r, brief);
    add_judgements(facts, r);
    if (!brief) {
        facts.heading("What the terms allow (a licence that is only claimed is never a yes)");
        for (const lic::Judgement& j : open::licence_answers(r))
            facts.add(j.need, fmt::format("{}. {}", lic::verdict_key(j.verdict), j.reason));
    }
    if (!r.claims.empty()) facts.heading("Claims and contradictions");
    for (const open::ClaimCheck& c : r.claims) {
        const std::string where =
            c.file.empty() ? "" : fmt::format("{}{}: ", c.file, c.line > 0 ? fmt::format(":{}", c.line) : "");
        facts.add(open::verdict_key(c.verdict),
                  fmt::format("{}{}{} [{}]{}", where, c.words.empty() ? "" : fmt::format("\"{}\"\n", c.words),
                              c.message, c.rule, c.artefact.empty() || brief ? "" : "\nheld against: " + c.artefact));
    }
    if (!r.attestations.empty()) facts.heading("What people attest (claims, no evidence)");
    for (const open::Attestation& a : r.attestations)
        facts.add(a.item,
                  fmt::format("{}, says {} ({}), {}{}\nsignature: {}, key {}{}", a.answer ? "yes" : "no", a.name,
                              a.role, a.date, a.statement.empty() ? "" : fmt::format("\n\"{}\"", a.statement),
                              open::state_key(a.state), a.fingerprint, a.own_key ? ", of this machine" : ""));
    for (const std::string& n : r.notes) facts.add("not looked at", n);
    return facts.str(width);
}

// Several models: one line for each component, one column for each model.
std::string comparison(const std::vector<open::Report>& reports, int width) {
    std::vector<Table::Column> columns = {{""}};
    for (const open::Report& r : reports) columns.push_back({r.subject});
    Table table(columns);
    const auto row = [&](std::string title, auto&& text) {
        std::vector<std::string> cells = {std::move(title)};
        for (const open::Report& r : reports) cells.push_back(text(r));
        table.add(std::move(cells));
    };
    row("category", [](const open::Report& r) {
        return std::string(open::category_key(r.category)) + (r.by_claim ? " (claimed)" : "");
    });
    row("MOF class", [](const open::Report& r) { return open::class_title(r.mof.mof_class); });
    for (std::size_t i = 0; i < reports.front().checklist.size(); ++i)
        row(fmt::format("OSAID {}", reports.front().checklist[i].key),
            [&](const open::Report& r) { return std::string(open::status_key(r.checklist[i].status)); });
    for (const open::ComponentInfo& c : open::all_components())
        row(c.title, [&](const open::Report& r) {
            const open::Part& p = r.part(c.id);
            return p.presence == open::Presence::here ? "here, " + licence_line(p.licence)
                                                      : std::string(open::presence_key(p.presence));
        });
    row("contradictions", [](const open::Report& r) {
        return fmt::format("{}", std::ranges::count_if(r.claims, [](const open::ClaimCheck& c) {
                               return c.verdict == open::ClaimCheck::Verdict::contradicted;
                           }));
    });
    return table.str(width);
}

std::string needs_text(const std::vector<lic::Judgement>& judgements, int width) {
    Facts facts;
    facts.heading("Needs");
    for (const lic::Judgement& j : judgements) {
        std::string text = fmt::format("{}. {}", lic::verdict_key(j.verdict), j.reason);
        for (const lic::Quote& q : j.quotes) text += fmt::format("\n{}:{}: \"{}\"", j.where, q.first_line, q.text);
        facts.add(j.need, text);
    }
    return facts.str(width);
}

void print(const Options& o, const std::vector<open::Report>& reports,
           const std::vector<std::vector<lic::Judgement>>& judgements) {
    if (o.sarif) return out(to_json(Value(open::report_sarif(reports, FREEHOLD_VERSION)), 2) + "\n");
    if (o.json) {
        ValueList all;
        for (std::size_t i = 0; i < reports.size(); ++i) {
            ValueMap one = open::report_json(reports[i], FREEHOLD_VERSION);
            one.set("needs", lic::to_value(judgements[i]));
            all.emplace_back(std::move(one));
        }
        return out(to_json(all.size() == 1 ? all.front() : Value(std::move(all)), 2) + "\n");
    }
    const int width = stdout_is_terminal() ? terminal_width() : 0;
    std::string text;
    if (reports.size() > 1) text += comparison(reports, width);
    for (std::size_t i = 0; i < reports.size(); ++i) {
        if (reports.size() == 1) text += report_text(reports[i], o.brief || !o.needs.empty(), width);
        if (!judgements[i].empty())
            text += (reports.size() > 1 ? "\n" + reports[i].subject + "\n" : "") + needs_text(judgements[i], width);
    }
    out(text + "\n" + wrapped(lic::not_legal_advice(), width > 0 ? width : 100) + "\n");
}

int openness_verb(const Options& o) {
    if (o.models.empty())
        throw Error(ErrorKind::usage, "There is nothing to look at.",
                    "Name a folder, a model file, or a stored model; several are compared.");
    const Store store = Store::open();
    const std::string own = open::own_public_key(key_folder());
    std::vector<open::Report> reports;
    std::vector<std::vector<lic::Judgement>> judgements;
    for (const std::string& model : o.models) {
        reports.push_back(open::examine(open::find_target(store, model), own));
        judgements.push_back(open::judge(reports.back(), o.needs, o.trust_claims));
    }
    if (!o.html.empty()) {
        const std::string page = open::report_html(reports, judgements, FREEHOLD_VERSION, now().substr(0, 10));
        if (o.html == "-") {
            out(page);
        } else {
            write_text_atomic(o.html, page);
            if (!o.json && !o.sarif) notice(fmt::format("The report is in {}.", o.html));
        }
    }
    if (o.html.empty() || o.json || o.sarif) print(o, reports, judgements);
    const auto has = [&](lic::Verdict v) {
        return std::ranges::any_of(judgements, [&](const auto& list) {
            return std::ranges::any_of(list, [&](const lic::Judgement& j) { return j.verdict == v; });
        });
    };
    return has(lic::Verdict::no) ? kSomeNo : has(lic::Verdict::ask) ? kSomeAsk : 0;
}

int attest(const Options& o) {
    const auto items = open::attest_items();
    const auto item = std::ranges::find_if(items, [&](const open::AttestItem& i) { return o.item == i.key; });
    if (item == items.end()) {
        std::string names;
        for (const open::AttestItem& i : items) names += (names.empty() ? "" : ", ") + std::string(i.key);
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is nothing that can be attested.", o.item),
                    "Items: " + names + ".");
    }
    const open::Target target = open::find_target(Store::open(), o.model);
    open::Attestation a;
    a.item = o.item;
    a.answer = o.answer == "yes";
    a.name = o.name;
    a.role = o.role;
    a.statement = o.statement;
    a.date = now();
    a.subject = target.subject.name;
    a.digest = target.digest.empty() ? open::examine(target).digest : target.digest;
    a = open::sign(std::move(a), key_folder());
    open::keep(target.attestations, a);
    if (o.attest_json) {
        out(to_json(Value(open::to_value(a)), 2) + "\n");
    } else {
        out(
            fmt::format("{}\n{}, says {} ({}), {}.\nIt speaks about {} and is kept in {}, signed with the key {}.\n"
                        "It is a claim by a person; reports show it as one.\n",
                        item->question, a.answer ? "Yes" : "No", a.name, a.role, a.date, a.digest,
                        target.attestations.string(), a.fingerprint));
    }
    return 0;
}

}  // namespace

Action setup_openness(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->models, "A folder, a model file, or a stored name; several are compared")
        ->type_name("MODEL");
    app.add_option("--need", o->needs, "What you need, separated by commas; see below")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("NEEDS");
    app.add_flag("--trust-claims", o->trust_claims,
                 "Take a card or metadata at their word where no licence text is there");
    app.add_option("--html", o->html, "Write the report as one HTML file (- for standard output)")->type_name("FILE");
    app.add_flag("--sarif", o->sarif, "SARIF 2.1.0, for the viewers of findings");
    app.add_flag("--brief", o->brief, "One line of evidence for each component");
    add_json_flag(app, o->json);
    CLI::App* say = app.add_subcommand("attest", "Say what no file can show; dated, signed, shown as your claim");
    say->add_option("MODEL", o->model, "A folder, a model file, or a stored name")->required()->type_name("MODEL");
    say->add_option("--item", o->item, "What it is about; see below")->required()->type_name("ITEM");
    say->add_option("--answer", o->answer, "yes or no")
        ->required()
        ->check(CLI::IsMember({"yes", "no"}))
        ->type_name("ANSWER");
    say->add_option("--name", o->name, "Who says it")->required()->type_name("NAME");
    say->add_option("--role", o->role, "As what: maintainer, data protection officer")->required()->type_name("ROLE");
    say->add_option("--statement", o->statement, "In your own words")->type_name("TEXT");
    add_json_flag(*say, o->attest_json);
    std::string items = "Items\n";
    for (const open::AttestItem& i : open::attest_items()) items += fmt::format("  {:<19}{}\n", i.key, i.question);
    say->footer(
        items +
        "\nExample\n  freehold openness attest ./model --item data-described --answer yes --name \"A. Weber\" --role "
        "maintainer");
    std::string needs = "Needs, beside those of `freehold licence`\n";
    for (const lic::Need& n : open::openness_needs()) needs += fmt::format("  {:<20}{}\n", n.name, n.meaning);
    app.footer(needs +
               "\nWith --need the exit code is 0 where all answers are yes, 1 where one is no, 11 where none is no but "
               "counsel must\nbe asked. This is not legal advice. docs/openness.md says what is looked for.\n\n"
               "Examples\n"
               "  freehold openness smollm2:135m\n"
               "  freehold openness ./model --html report.html\n"
               "  freehold openness ./a ./b smollm2:135m\n"
               "  freehold openness ./model --need commercial,train-others,data-information");
    return [o, say] { return say->parsed() ? attest(*o) : openness_verb(*o); };
}

}  // namespace freehold::cli
