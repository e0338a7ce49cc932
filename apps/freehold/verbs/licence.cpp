// freehold licence: which licence a file, a folder or a model is under, what it allows, and with what words it says so.
#include <fmt/format.h>

#include <algorithm>

#include "../console.h"
#include "../session.h"
#include "freehold/licence/review.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

namespace lic = freehold::licence;

constexpr int kSomeNo = 1;    // exit code: a need is answered by no
constexpr int kSomeAsk = 11;  // none is, but some by "ask counsel"

struct Options {
    std::string subject;
    std::vector<std::string> needs;
    bool json = false, trust_claims = false, list = false, brief = false;
};

lic::Subject find_subject(const std::string& name) {
    std::error_code ignored;
    if (std::filesystem::exists(name, ignored)) return lic::subject_of_path(name);
    const Store store = Store::open();
    const LocatedModel located = locate_model(store, name);
    return located.stored ? lic::subject_of_model(store, *located.stored) : lic::subject_of_path(located.path);
}

std::string lines_of(const lic::Quote& q) {
    return q.first_line == q.last_line ? fmt::format("{}", q.first_line)
                                       : fmt::format("{}-{}", q.first_line, q.last_line);
}

std::string answer_of(lic::Answer a) {
    switch (a) {
        case lic::Answer::yes:
            return "yes";
        case lic::Answer::no:
            return "no";
        case lic::Answer::conditional:
            return "with conditions";
        case lic::Answer::silent:
            return "not said";
        case lic::Answer::unclear:
            break;
    }
    return "unclear";
}

void add_changes(Facts& facts, const lic::ReviewedFile& file, const lic::Match& m) {
    for (const lic::Change& c : m.changes) {
        std::string text = c.clause;
        if (!c.original.empty()) text += fmt::format("\n- {}", c.original);
        if (!c.found.empty()) text += fmt::format("\n+ {}", c.found);
        if (!c.touches.empty()) {
            text += "\ntouches: ";
            for (std::size_t i = 0; i < c.touches.size(); ++i)
                text += (i > 0 ? ", " : "") + std::string(lic::question_title(c.touches[i]));
        }
        facts.add(fmt::format("changed at {}:{}", file.name, c.line), text);
    }
}

void add_clauses(Facts& facts, const lic::ReviewedFile& file, const lic::Match& m) {
    for (const lic::Clause& c : m.clauses) {
        std::string text = fmt::format("{}. {}", answer_of(c.answer), c.meaning);
        for (const std::string& item : c.items) text += "\n- " + item;
        for (const lic::Quote& q : c.quotes)
            text += fmt::format("\n{}:{}{}: \"{}\"", file.name, lines_of(q),
                                q.place.empty() ? "" : fmt::format(" ({})", q.place), q.text);
        facts.add(lic::question_title(c.question), text);
    }
}

void add_match(Facts& facts, const lic::ReviewedFile& file, const lic::Match& m, bool brief) {
    const std::string where = fmt::format("{}:{}-{}", file.name, m.first_line, m.last_line);
    const std::string name = m.known != nullptr ? fmt::format("{} ({})", m.known->name, m.known->id) : m.expression;
    switch (m.likeness) {
        case lic::Likeness::exact:
            facts.add("licence", fmt::format("{}: {}", where, name));
            break;
        case lic::Likeness::altered:
            facts.add("altered",
                      fmt::format("{}: NOT the {}: {:.1f} % of the words are its own, and {}", where, name,
                                  100 * m.similarity,
                                  m.changes.size() == 1 ? "one place is changed"
                                                        : fmt::format("{} places are changed", m.changes.size())));
            break;
        case lic::Likeness::notice:
            facts.add("notice", fmt::format("{}: the notice of {}, not its text", where, name));
            break;
        case lic::Likeness::reference:
            facts.add("reference",
                      fmt::format("{}:{}: \"{}\", a claim without a text", file.name, m.first_line, m.expression));
            break;
    }
    if (m.known != nullptr && m.likeness != lic::Likeness::reference) {
        if (!m.known->policy)
            facts.add("kind", fmt::format("{}{}{}", licence_category_meaning(m.known->category),
                                          m.known->osi_approved ? "; approved by the OSI" : "",
                                          m.known->fsf_libre ? "; free by the FSF's list" : ""));
        if (!m.known->note.empty()) facts.add("note", m.known->note);
    }
    add_changes(facts, file, m);
    if (!brief) add_clauses(facts, file, m);
}

std::string report_text(const lic::Review& review, bool brief, int width) {
    Facts facts;
    facts.heading(review.subject);
    for (const lic::ReviewedFile& f : review.texts) {
        if (!f.report.unreadable.empty()) facts.add("not read", fmt::format("{}: {}", f.name, f.report.unreadable));
        for (const lic::Match& m : f.report.matches) add_match(facts, f, m, brief);
        if (f.report.unknown_terms) {
            std::string text = fmt::format("{} holds terms that are not known.", f.name);
            if (!f.report.nearest.empty())
                text += fmt::format(" The nearest known text, which it is not: {} ({:.0f} % of the words).",
                                    f.report.nearest[0].known->name, 100 * f.report.nearest[0].similarity);
            facts.add("unknown", text);
        }
        for (const lic::Worry& w : f.report.worries)
            facts.add("look at", fmt::format("{}:{}: {} \"{}\"", f.name, lines_of(w.quote), w.meaning, w.quote.text));
    }
    for (const lic::Claim& c : review.claims)
        facts.add("claim", fmt::format("{}{}: \"{}\"{}", c.where, c.line > 0 ? fmt::format(" (line {})", c.line) : "",
                                       c.value, c.known != nullptr ? fmt::format(", that is {}", c.known->name) : ""));
    if (!review.findings.empty()) facts.heading("Findings");
    for (const lic::Finding& f : review.findings)
        facts.add(lic::weight_key(f.weight), f.where.empty() ? f.message : fmt::format("{} [{}]", f.message, f.where));
    return facts.str(width);
}

std::string needs_text(const std::vector<lic::Judgement>& judgements, int width) {
    Facts facts;
    facts.heading("Needs");
    for (const lic::Judgement& j : judgements) {
        std::string text = fmt::format("{}. {}", lic::verdict_key(j.verdict), j.reason);
        for (const lic::Quote& q : j.quotes) text += fmt::format("\n{}:{}: \"{}\"", j.where, lines_of(q), q.text);
        facts.add(j.need, text);
    }
    return facts.str(width);
}

int list_known(bool json) {
    Table table({{"ID"}, {"NAME"}, {"KIND", false, true}, {"CLAUSES"}, {"TAGS", false, true}});
    ValueList list;
    for (const lic::Known& k : lic::known_licences()) {
        std::string tags;
        for (const std::string& t : k.tags) tags += (tags.empty() ? "" : ", ") + t;
        const char* kind = k.policy ? "use policy" : licence_category_name(k.category);
        table.add({k.id, k.name, kind, k.reviewed ? "yes" : "no", tags});
        ValueMap entry;
        entry.set("id", k.id);
        entry.set("name", k.name);
        entry.set("kind", kind);
        entry.set("reviewed", k.reviewed);
        entry.set("osi_approved", k.osi_approved);
        entry.set("fsf_libre", k.fsf_libre);
        entry.set("tags", k.tags);
        list.emplace_back(std::move(entry));
    }
    out(json ? to_json(Value(std::move(list)), 2) + "\n" : table.str(stdout_is_terminal() ? terminal_width() : 0));
    return 0;
}

int licence_verb(const Options& o) {
    if (o.list) return list_known(o.json);
    if (o.subject.empty())
        throw Error(ErrorKind::usage, "There is nothing to look at.",
                    "Name a licence file, a folder, a model file or a stored model.");
    const lic::Review review = lic::review(find_subject(o.subject));
    const std::vector<lic::Judgement> judgements = lic::judge(review, o.needs, o.trust_claims);
    if (o.json) {
        Value value = lic::to_value(review);
        ValueMap map = *value.get<ValueMap>();
        map.set("needs", lic::to_value(judgements));
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else {
        const int width = stdout_is_terminal() ? terminal_width() : 0;
        std::string text = report_text(review, o.brief || !o.needs.empty(), width);
        if (!judgements.empty()) text += needs_text(judgements, width);
        out(text + "\n" + wrapped(lic::not_legal_advice(), width > 0 ? width : 100) + "\n");
    }
    const auto has = [&](lic::Verdict v) {
        return std::ranges::any_of(judgements, [&](const lic::Judgement& j) { return j.verdict == v; });
    };
    return has(lic::Verdict::no) ? kSomeNo : has(lic::Verdict::ask) ? kSomeAsk : 0;
}

}  // namespace

Action setup_licence(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("SUBJECT", o->subject, "A licence file, a model's folder or file, or a stored name")
        ->type_name("SUBJECT");
    app.add_option("--need", o->needs, "What you need to do, separated by commas; see below")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("NEEDS");
    app.add_flag("--trust-claims", o->trust_claims,
                 "Take a card or metadata at their word where no licence text is there");
    app.add_flag("--brief", o->brief, "Leave the clauses out");
    app.add_flag("--list", o->list, "List the licences that are known");
    add_json_flag(app, o->json);
    std::string needs = "Needs\n";
    for (const lic::Need& n : lic::all_needs()) needs += fmt::format("  {:<18}{}\n", n.name, n.meaning);
    app.footer(needs +
               "\nWith --need the exit code is 0 where all answers are yes, 1 where one is no, 11 where none is no but "
               "counsel must\n"
               "be asked. This is not legal advice.\n\n"
               "Examples\n"
               "  freehold licence ./LICENSE\n"
               "  freehold licence smollm2:135m --need commercial,redistribute,train-others\n"
               "  freehold licence ./model-folder --json");
    return [o] { return licence_verb(*o); };
}

}  // namespace freehold::cli
