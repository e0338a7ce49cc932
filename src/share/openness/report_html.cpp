// One HTML file: no script, no address that a browser would fetch, readable on a phone and on paper. Every text from a
// model is escaped; status is told in words, colour only repeats it.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/printable.h"
#include "look.h"

namespace freehold::openness {
namespace {

constexpr const char* kStyle = R"css(
:root{--ink:#1d2330;--soft:#5a6375;--line:#d9dde5;--paper:#fff;--good:#12633a;--mid:#7a4b00;--bad:#9c1c1c;--tint:#f5f6f9}
@media (prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#a6afc0;--line:#3a4150;--paper:#14171d;--good:#6fd39b;--mid:#f0b95c;--bad:#ff9a9a;--tint:#1c2028}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:1.5rem 1rem 4rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem}
h2{font-size:1.2rem;margin:2.2rem 0 .5rem;padding-bottom:.2rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
p{margin:.4rem 0}
.meta,.soft{color:var(--soft);font-size:.9rem}
.verdict{border:1px solid var(--line);border-left:.4rem solid var(--soft);background:var(--tint);padding:.8rem 1rem;margin:1rem 0}
.verdict p:first-child b{font-size:1.15rem}
.good{color:var(--good);font-weight:600}.mid{color:var(--mid);font-weight:600}.bad{color:var(--bad);font-weight:600}
table{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:.93rem}
th,td{text-align:left;vertical-align:top;padding:.45rem .6rem;border-bottom:1px solid var(--line)}
th{font-weight:600}
thead th{color:var(--soft);font-size:.85rem}
code,.digest{font-family:ui-monospace,monospace;font-size:.85em;overflow-wrap:anywhere}
th .soft{font-weight:400}td[data-k=found],td[data-k=status],td[data-k=answer],td[data-k=verdict]{min-width:7rem}
.report{margin-top:2.5rem}.scroll table{min-width:calc(9rem + var(--columns,3)*9rem)}
blockquote{margin:.3rem 0;padding-left:.8rem;border-left:3px solid var(--line)}
ul{margin:.3rem 0;padding-left:1.2rem}
.notice{margin-top:2.5rem;border-top:2px solid var(--ink);padding-top:.6rem}
.scroll{overflow-x:auto}
@media (max-width:42rem){
 table.stack thead{position:absolute;clip-path:inset(50%)}
 table.stack,table.stack tbody,table.stack tr,table.stack td,table.stack th{display:block}
 table.stack tr{border-bottom:2px solid var(--line);padding:.4rem 0}
 table.stack td,table.stack th{border:0;padding:.15rem 0}
 table.stack td[data-k]::before{content:attr(data-k) ": ";color:var(--soft);font-size:.85rem}
}
@media print{:root{--ink:#000;--soft:#333;--line:#999;--paper:#fff;--good:#063;--mid:#530;--bad:#800;--tint:#fff}
 body{max-width:none;padding:0;font-size:10pt}h2{break-after:avoid}tr,blockquote{break-inside:avoid}.report+.report{break-before:page}}
)css";

std::string escaped(std::string_view s) {
    std::string out;
    for (const char c : valid_utf8(s)) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string cell(const char* name, const std::string& html) {
    return fmt::format("<td data-k=\"{}\">{}</td>", name, html);
}

std::string tinted(const char* tone, const std::string& text) {
    return fmt::format("<span class=\"{}\">{}</span>", tone, escaped(text));
}

const char* tone_of(Status s) {
    return s == Status::met ? "good" : s == Status::undecided ? "mid" : "bad";
}
const char* tone_of(const Part& p) {
    if (p.presence == Presence::here)
        return p.licence.open && p.licence.basis == PartLicence::Basis::text ? "good" : "mid";
    return p.presence == Presence::absent || p.presence == Presence::hollow ? "bad" : "mid";
}
const char* tone_of(ClaimCheck::Verdict v) {
    return v == ClaimCheck::Verdict::met ? "good" : v == ClaimCheck::Verdict::contradicted ? "bad" : "mid";
}
const char* tone_of(licence::Verdict v) {
    return v == licence::Verdict::yes ? "good" : v == licence::Verdict::no ? "bad" : "mid";
}

std::string place(const std::string& file, std::uint32_t line) {
    if (file.empty()) return {};
    return line > 0 ? fmt::format("<code>{}:{}</code>", escaped(file), line)
                    : fmt::format("<code>{}</code>", escaped(file));
}

std::string licence_html(const PartLicence& l) {
    std::string out;
    if (l.basis == PartLicence::Basis::none) return "<span class=\"soft\">none</span>";
    out = escaped(l.name);
    out += l.basis == PartLicence::Basis::text
               ? fmt::format(" <span class=\"soft\">(text: <code>{}</code>)</span>", escaped(l.where))
               : fmt::format(" <span class=\"soft\">(claimed by <code>{}</code>, no text)</span>", escaped(l.where));
    if (!l.open) out += " <span class=\"bad\">not open</span>";
    if (!l.trouble.empty()) out += fmt::format("<br>{}", escaped(l.trouble));
    return out;
}

std::string components_html(const Report& r) {
    std::string out =
        "<h2>Components</h2><p class=\"soft\">What lies in these files. Only what is here, with content of its kind, "
        "counts; "
        "how sure the finding is stands beside it.</p><table "
        "class=\"stack\"><thead><tr><th>Component</th><th>Found</th>"
        "<th>Licence</th><th>Evidence</th></tr></thead><tbody>";
    for (const Part& p : r.parts) {
        std::string evidence;
        std::size_t shown = 0;
        for (const Evidence& e : p.evidence) {
            if (++shown > 5) {
                evidence += fmt::format("<br><span class=\"soft\">and {} more</span>", p.evidence.size() - 5);
                break;
            }
            evidence += fmt::format("{}{}{}: {}<br><span class=\"soft digest\">{}</span>",
                                    evidence.empty() ? "" : "<br>", place(e.file, e.line),
                                    e.key.empty() ? "" : fmt::format(", key <code>{}</code>", escaped(e.key)),
                                    escaped(e.what), escaped(e.digest));
        }
        std::string state = tinted(tone_of(p), presence_title(p.presence));
        if (p.presence == Presence::here && p.sureness != Sureness::certain)
            state += fmt::format(" <span class=\"soft\">({})</span>",
                                 p.sureness == Sureness::likely ? "likely" : "a hint only");
        out += fmt::format("<tr><th scope=\"row\">{}<br><span class=\"soft\">{}</span></th>{}{}{}</tr>",
                           info(p.component).title, info(p.component).meaning, cell("found", state),
                           cell("licence", p.presence == Presence::here ? licence_html(p.licence) : "&ndash;"),
                           cell("evidence", evidence.empty() ? "&ndash;" : evidence));
    }
    return out + "</tbody></table>";
}

std::string checklist_html(const Report& r) {
    std::string out =
        "<h2>Open Source AI Definition 1.0</h2><p class=\"soft\">Row by row after the checklist of the Open Source "
        "Initiative; "
        "a report, no certificate.</p><table "
        "class=\"stack\"><thead><tr><th>Row</th><th>Status</th><th>Found</th><th>Missing</th>"
        "</tr></thead><tbody>";
    for (const ChecklistItem& i : r.checklist) {
        std::string status = tinted(tone_of(i.status), status_key(i.status));
        if (!i.attested.empty())
            status += fmt::format(
                "<br><span class=\"soft\">A person&rsquo;s word, no evidence: {} With that word: {}.</span>",
                escaped(i.attested), status_key(i.with_attestation));
        out += fmt::format("<tr><th scope=\"row\">{}: {}<br><span class=\"soft\">asks for {}</span></th>{}{}{}</tr>",
                           i.group, escaped(i.title), i.asked, cell("status", status),
                           cell("found", i.found.empty() ? "&ndash;" : escaped(i.found)),
                           cell("missing", i.missing.empty() ? "&ndash;" : escaped(i.missing)));
    }
    return out + "</tbody></table>";
}

std::string mof_html(const Report& r) {
    std::string out = fmt::format(
        "<h2>Model Openness Framework 1.0</h2><p><b>{}</b> by what is here with its licence text{}. Progress: class "
        "III {:.0f} %, "
        "II {:.0f} %, I {:.0f} %.</p><table "
        "class=\"stack\"><thead><tr><th>Component</th><th>Class</th><th>Standing</th>"
        "<th>Licence</th></tr></thead><tbody>",
        class_title(r.mof.mof_class),
        r.mof_claimed.mof_class != r.mof.mof_class
            ? fmt::format("; {} if claimed licences are taken at their word", class_title(r.mof_claimed.mof_class))
            : "",
        r.mof.progress[0], r.mof.progress[1], r.mof.progress[2]);
    constexpr std::array<const char*, 4> kClass = {"", "I", "II", "III"};
    for (const MofItem& i : r.mof.items) {
        const ComponentInfo& c = info(i.component);
        const bool good = i.standing == Standing::included;
        std::string standing = tinted(good ? "good" : c.required ? "bad" : "mid", standing_key(i.standing));
        if (good && !i.fitting) standing += " <span class=\"soft\">(open, though not made for this kind)</span>";
        out += fmt::format(
            "<tr><th scope=\"row\">{}</th>{}{}{}</tr>", c.mof,
            cell("class",
                 fmt::format("{}{}", kClass.at(static_cast<std::size_t>(c.mof_class)), c.required ? "" : ", optional")),
            cell("standing", standing), cell("licence", i.licence.empty() ? "&ndash;" : escaped(i.licence)));
    }
    return out + "</tbody></table>";
}

std::string quote_html(const std::string& file, const licence::Quote& q) {
    return fmt::format("<blockquote>{} <span class=\"soft\"><code>{}:{}</code></span></blockquote>", escaped(q.text),
                       escaped(file), q.first_line);
}

std::string table_of(std::span<const licence::Judgement> judgements) {
    std::string out =
        "<table class=\"stack\"><thead><tr><th>Need</th><th>Answer</th><th>Reason</th></tr></thead><tbody>";
    for (const licence::Judgement& j : judgements) {
        std::string reason = escaped(j.reason);
        for (const licence::Quote& q : j.quotes) reason += quote_html(j.where, q);
        out += fmt::format("<tr><th scope=\"row\">{}</th>{}{}</tr>", escaped(j.need),
                           cell("answer", tinted(tone_of(j.verdict), licence::verdict_key(j.verdict))),
                           cell("reason", reason));
    }
    return out + "</tbody></table>";
}

std::string licences_html(const Report& r) {
    std::string out =
        "<h2>What the terms allow</h2><p class=\"soft\">The strictest of the licences here decides; a licence that is "
        "only "
        "claimed is never a yes.</p>" +
        table_of(licence_answers(r)) + "<h2>Licences</h2>";
    if (!r.review.claims.empty()) {
        out += "<h3>What is said</h3><ul>";
        for (const licence::Claim& c : r.review.claims)
            out += fmt::format("<li><code>{}</code>{}: &ldquo;{}&rdquo;{}</li>", escaped(c.where),
                               c.line > 0 ? fmt::format(" (line {})", c.line) : "", escaped(c.value),
                               c.known != nullptr ? ", that is " + escaped(c.known->name) : "");
        out += "</ul>";
    }
    if (r.review.texts.empty()) out += "<p>No licence text lies among these files.</p>";
    for (const licence::ReviewedFile& f : r.review.texts) {
        for (const licence::Match& m : f.report.matches) {
            if (m.known == nullptr || m.known->policy || m.clauses.empty()) continue;
            out += fmt::format("<h3>{}: {}{}</h3><p class=\"soft digest\">{}</p><table class=\"stack\"><tbody>",
                               escaped(f.name), m.likeness == licence::Likeness::altered ? "altered, not " : "",
                               escaped(m.known->name), escaped(f.digest));
            for (const licence::Clause& c : m.clauses) {
                std::string text = escaped(c.meaning);
                if (!c.items.empty()) {
                    text += "<ul>";
                    for (const std::string& i : c.items) text += fmt::format("<li>{}</li>", escaped(i));
                    text += "</ul>";
                }
                for (const licence::Quote& q : c.quotes) text += quote_html(f.name, q);
                out += fmt::format(
                    "<tr><th scope=\"row\">{}</th>{}{}</tr>", licence::question_title(c.question),
                    cell("answer", c.answer == licence::Answer::silent ? "not said" : licence::answer_key(c.answer)),
                    cell("words", text));
            }
            out += "</tbody></table>";
        }
        if (f.report.unknown_terms)
            out += fmt::format("<h3>{}: terms that are not known</h3><p>Read them, or let counsel read them.</p>",
                               escaped(f.name));
        for (const licence::Worry& w : f.report.worries)
            out += fmt::format("<p>{}</p>{}", escaped(w.meaning), quote_html(f.name, w.quote));
    }
    return out;
}

std::string claims_html(const Report& r) {
    std::string out = "<h2>Claims and contradictions</h2>";
    if (r.claims.empty()) return out + "<p>None was found.</p>";
    out +=
        "<table class=\"stack\"><thead><tr><th>Claim or rule</th><th>Verdict</th><th>Held "
        "against</th></tr></thead><tbody>";
    for (const ClaimCheck& c : r.claims) {
        out += fmt::format(
            "<tr><th scope=\"row\">{}<br><span class=\"soft\">{} {}</span></th>{}{}</tr>",
            c.words.empty() ? escaped(c.rule) : fmt::format("&ldquo;{}&rdquo;", escaped(c.words)), escaped(c.rule),
            place(c.file, c.line), cell("verdict", tinted(tone_of(c.verdict), verdict_key(c.verdict))),
            cell("held against",
                 escaped(c.artefact) + (c.artefact.empty() || c.message.empty() ? "" : "<br>") + escaped(c.message)));
    }
    return out + "</tbody></table>";
}

std::string people_html(const Report& r) {
    std::string out =
        "<h2>What people attest</h2><p class=\"soft\">Claims by persons, signed; never counted as evidence.</p>";
    if (r.attestations.empty()) return out + "<p>Nobody has attested anything.</p>";
    out += "<ul>";
    for (const Attestation& a : r.attestations)
        out += fmt::format(
            "<li><b>{}</b>: {}, says {} ({}) on {}. {} <span class=\"soft\">Signature: {}; key "
            "<code>{}</code>{}.</span></li>",
            escaped(a.item), a.answer ? "yes" : "no", escaped(a.name), escaped(a.role), escaped(a.date),
            a.statement.empty() ? "" : fmt::format("&ldquo;{}&rdquo;", escaped(a.statement)), state_key(a.state),
            escaped(a.fingerprint), a.own_key ? ", of this machine" : "");
    return out + "</ul>";
}

std::string needs_html(std::span<const licence::Judgement> judgements) {
    return judgements.empty() ? std::string() : "<h2>Needs</h2>" + table_of(judgements);
}

std::string rest_html(const Report& r) {
    std::string out;
    out += "<h2>Training data: what the documents speak of</h2><ul>";
    for (const DataTopic& t : r.topics)
        out +=
            fmt::format("<li>{}: {}</li>", t.title,
                        t.where.empty() ? tinted("bad", "not said") : fmt::format("<code>{}</code>", escaped(t.where)));
    out +=
        "</ul><p class=\"soft\">Words were looked for; whether what they say is complete, only a person can tell.</p>";
    if (!r.bases.empty()) {
        out += "<h2>Made from</h2><ul>";
        for (const Base& b : r.bases)
            out += fmt::format("<li>{} <span class=\"soft\">({}{})</span></li>", escaped(b.name), escaped(b.where),
                               b.here ? ", in this store" : "");
        out += "</ul>";
    }
    if (!r.notes.empty()) {
        out += "<h2>Not looked at</h2><ul>";
        for (const std::string& n : r.notes) out += fmt::format("<li>{}</li>", escaped(n));
        out += "</ul>";
    }
    return out;
}

std::string size_text(std::uint64_t bytes) {
    const auto n = static_cast<double>(bytes);
    return bytes >= 1'000'000 ? fmt::format("{:.1f} MB", n / 1e6) : fmt::format("{} bytes", bytes);
}

std::string one_html(const Report& r, std::span<const licence::Judgement> judgements) {
    std::string out = fmt::format(
        "<section class=\"report\"><h1>{}</h1><p class=\"meta\">{} file{}, {}. <span "
        "class=\"digest\">{}</span></p>"
        "<div class=\"verdict\"><p><b>{}</b></p><p>{}</p><p>Model Openness Framework: <b>{}</b>.</p>",
        escaped(r.subject), r.files, r.files == 1 ? "" : "s", size_text(r.bytes), escaped(r.digest),
        std::string(category_title(r.category)) + (r.by_claim ? " (by claim)" : ""), escaped(r.category_reason),
        class_title(r.mof.mof_class));
    if (r.category_attested != r.category)
        out += fmt::format(
            "<p>With what people attest taken at its word: <b>{}</b>. That is their claim, not a finding.</p>",
            category_title(r.category_attested));
    out += "</div>" + needs_html(judgements) + components_html(r) + checklist_html(r) + mof_html(r) + claims_html(r) +
           licences_html(r) + people_html(r) + rest_html(r);
    return out + "</section>";
}

std::string side_by_side(std::span<const Report> reports) {
    std::string out = fmt::format(
        "<h1>Side by side</h1><div class=\"scroll\" tabindex=\"0\" style=\"--columns:{}\"><table><thead><tr><th></th>",
        reports.size());
    for (const Report& r : reports) out += fmt::format("<th>{}</th>", escaped(r.subject));
    out += "</tr></thead><tbody><tr><th scope=\"row\">Category</th>";
    for (const Report& r : reports)
        out += fmt::format("<td>{}{}</td>", category_title(r.category),
                           r.by_claim ? " <span class=\"soft\">(by claim)</span>" : "");
    out += "</tr><tr><th scope=\"row\">Framework</th>";
    for (const Report& r : reports) out += fmt::format("<td>{}</td>", class_title(r.mof.mof_class));
    out += "</tr>";
    for (const ComponentInfo& i : all_components()) {
        out += fmt::format("<tr><th scope=\"row\">{}</th>", i.title);
        for (const Report& r : reports) {
            const Part& p = r.part(i.id);
            std::string text = tinted(tone_of(p), presence_title(p.presence));
            if (p.presence == Presence::here)
                text += fmt::format("<br><span class=\"soft\">{}{}</span>",
                                    p.licence.id.empty() ? "no licence" : escaped(p.licence.id),
                                    p.licence.basis == PartLicence::Basis::claim ? ", claimed" : "");
            out += fmt::format("<td>{}</td>", text);
        }
        out += "</tr>";
    }
    return out + "</tbody></table></div>";
}

}  // namespace

std::string report_html(std::span<const Report> reports, std::span<const std::vector<licence::Judgement>> judgements,
                        std::string_view version, std::string_view date) {
    std::string names;
    for (const Report& r : reports) names += (names.empty() ? "" : ", ") + r.subject;
    std::string out = fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<title>Openness: {}</title><style>{}</style></head><body><main><p class=\"meta\">Openness report by Freehold "
        "{}{}{}</p>",
        escaped(names), kStyle, escaped(version), date.empty() ? "" : ", ", escaped(date));
    if (reports.size() > 1) out += side_by_side(reports);
    for (std::size_t i = 0; i < reports.size(); ++i)
        out += one_html(reports[i], i < judgements.size() ? judgements[i] : std::vector<licence::Judgement>());
    out += fmt::format("<p class=\"notice\">{}</p></main></body></html>\n", licence::not_legal_advice());
    return out;
}

}  // namespace freehold::openness
