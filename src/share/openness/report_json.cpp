// The report for programs: one JSON object, and SARIF 2.1.0 for the viewers of findings.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "look.h"

namespace freehold::openness {
namespace {

Value optional_text(const std::string& s) {
    return s.empty() ? Value() : Value(s);
}

ValueMap evidence_json(const Evidence& e) {
    ValueMap map;
    map.set("presence", presence_key(e.presence));
    map.set("sureness", sureness_key(e.sureness));
    map.set("file", e.file);
    map.set("digest", e.digest);
    if (e.line > 0) map.set("line", std::int64_t{e.line});
    if (!e.key.empty()) map.set("key", e.key);
    map.set("what", e.what);
    return map;
}

ValueMap part_json(const Part& p) {
    const ComponentInfo& i = info(p.component);
    ValueMap map;
    map.set("component", i.key);
    map.set("title", i.title);
    map.set("kind", kind_key(i.kind));
    map.set("presence", presence_key(p.presence));
    map.set("sureness", p.evidence.empty() ? Value() : Value(sureness_key(p.sureness)));
    ValueMap licence;
    licence.set("basis", basis_key(p.licence.basis));
    licence.set("id", optional_text(p.licence.id));
    licence.set("name", optional_text(p.licence.name));
    licence.set("where", optional_text(p.licence.where));
    licence.set("open", p.licence.open);
    licence.set("osi_approved", p.licence.osi);
    if (!p.licence.trouble.empty()) licence.set("trouble", p.licence.trouble);
    map.set("licence", std::move(licence));
    ValueList evidence;
    for (const Evidence& e : p.evidence) evidence.emplace_back(evidence_json(e));
    map.set("evidence", std::move(evidence));
    return map;
}

ValueMap mof_json(const MofResult& m) {
    ValueMap map;
    map.set("class", m.mof_class);
    map.set("title", class_title(m.mof_class));
    map.set("progress", ValueMap{{"III", m.progress[0]}, {"II", m.progress[1]}, {"I", m.progress[2]}});
    ValueList items;
    for (const MofItem& i : m.items) {
        ValueMap entry;
        entry.set("component", info(i.component).key);
        entry.set("name", info(i.component).mof);
        entry.set("class", info(i.component).mof_class);
        entry.set("required", info(i.component).required);
        entry.set("standing", standing_key(i.standing));
        entry.set("licence", optional_text(i.licence));
        if (i.standing == Standing::included) entry.set("fitting", i.fitting);
        items.emplace_back(std::move(entry));
    }
    map.set("items", std::move(items));
    const int next = m.mof_class == 0 ? 3 : m.mof_class - 1;
    ValueList missing;
    if (next > 0)
        for (const Component c : m.missing_for(next)) missing.emplace_back(info(c).key);
    map.set("missing_for_next", std::move(missing));
    return map;
}

ValueMap claim_json(const ClaimCheck& c) {
    ValueMap map;
    map.set("rule", c.rule);
    map.set("verdict", verdict_key(c.verdict));
    map.set("words", optional_text(c.words));
    map.set("file", optional_text(c.file));
    if (c.line > 0) map.set("line", std::int64_t{c.line});
    if (!c.digest.empty()) map.set("digest", c.digest);
    map.set("held_against", optional_text(c.artefact));
    map.set("message", c.message);
    return map;
}

std::string uri_of(const std::string& path) {
    std::string out;
    for (const char c : path) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~' || c == '/';
        if (plain)
            out += c;
        else
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

Value text(std::string s) {
    return Value(ValueMap{{"text", valid_utf8(s)}});
}

// What a result in SARIF is made of.
struct Result {
    std::string rule, level, message, file;
    std::uint32_t line = 0;
};

std::vector<Result> results_of(const Report& r) {
    std::vector<Result> out;
    out.push_back({"openness-category", "note",
                   fmt::format("{}: {}. {}", r.subject, category_title(r.category), r.category_reason), "", 0});
    for (const Part& p : r.parts) {
        const ComponentInfo& i = info(p.component);
        const Evidence* first = p.evidence.empty() ? nullptr : &p.evidence.front();
        const std::string file = first != nullptr ? first->file : "";
        const std::uint32_t line = first != nullptr ? first->line : 0;
        if (p.presence == Presence::here) {
            if (p.licence.basis == PartLicence::Basis::none)
                out.push_back(
                    {"component-unlicensed", "warning", fmt::format("{}: no licence covers it.", i.title), file, line});
            else if (!p.licence.open)
                out.push_back(
                    {"component-not-open", "warning",
                     fmt::format("{}: the {} is not an open licence. {}", i.title, p.licence.name, p.licence.trouble),
                     file, line});
            else if (p.licence.basis == PartLicence::Basis::claim)
                out.push_back(
                    {"component-licence-claimed", "note",
                     fmt::format("{}: {} says {}; no text comes along.", i.title, p.licence.where, p.licence.name),
                     file, line});
            continue;
        }
        if (i.mof_class == 0 && p.presence == Presence::absent) continue;
        out.push_back({p.presence == Presence::hollow ? "component-hollow" : "component-missing",
                       p.presence == Presence::hollow ? "warning" : "note",
                       first == nullptr ? fmt::format("{}: not here.", i.title)
                                        : fmt::format("{}: {}: {}.", i.title, presence_title(p.presence), first->what),
                       file, line});
    }
    for (const ClaimCheck& c : r.claims) {
        const bool bad = c.verdict == ClaimCheck::Verdict::contradicted;
        const bool weak = c.verdict == ClaimCheck::Verdict::unsupported;
        std::string words = c.words.empty() ? "" : fmt::format("\"{}\": ", c.words);
        out.push_back({c.rule,
                       bad    ? "error"
                       : weak ? "warning"
                              : "note",
                       fmt::format("{}{}. {}", words, verdict_key(c.verdict), c.message), c.file, c.line});
    }
    return out;
}

}  // namespace

ValueMap report_json(const Report& r, std::string_view version) {
    ValueMap out;
    out.set("subject", r.subject);
    out.set("digest", r.digest);
    out.set("version", std::string(version));
    out.set("files", r.files);
    out.set("bytes", r.bytes);
    ValueMap category;
    category.set("key", category_key(r.category));
    category.set("title", category_title(r.category));
    category.set("reason", r.category_reason);
    category.set("by_claim", r.by_claim);
    category.set("as_attested", category_key(r.category_attested));
    out.set("category", std::move(category));
    ValueMap mof = mof_json(r.mof);
    mof.set("class_if_claims_are_believed", r.mof_claimed.mof_class);
    out.set("mof", std::move(mof));
    ValueList checklist, parts, topics, claims, bases, attestations;
    for (const ChecklistItem& i : r.checklist) {
        ValueMap entry;
        entry.set("item", i.key);
        entry.set("group", i.group);
        entry.set("title", i.title);
        entry.set("asked", i.asked);
        entry.set("status", status_key(i.status));
        entry.set("found", optional_text(i.found));
        entry.set("missing", optional_text(i.missing));
        if (!i.attested.empty()) {
            entry.set("attested", i.attested);
            entry.set("status_as_attested", status_key(i.with_attestation));
        }
        checklist.emplace_back(std::move(entry));
    }
    out.set("osaid", ValueMap{{"version", "1.0"}, {"items", std::move(checklist)}});
    for (const Part& p : r.parts) parts.emplace_back(part_json(p));
    out.set("components", std::move(parts));
    for (const DataTopic& t : r.topics)
        topics.emplace_back(ValueMap{{"topic", t.key}, {"title", t.title}, {"where", optional_text(t.where)}});
    out.set("data_topics", std::move(topics));
    for (const ClaimCheck& c : r.claims) claims.emplace_back(claim_json(c));
    out.set("claims", std::move(claims));
    for (const Base& b : r.bases)
        bases.emplace_back(
            ValueMap{{"name", b.name}, {"where", b.where}, {"digest", optional_text(b.digest)}, {"in_store", b.here}});
    out.set("bases", std::move(bases));
    for (const Attestation& a : r.attestations) {
        ValueMap entry = to_value(a);
        entry.set("state", state_key(a.state));
        entry.set("own_key", a.own_key);
        entry.set("fingerprint", a.fingerprint);
        attestations.emplace_back(std::move(entry));
    }
    out.set("attestations", std::move(attestations));
    out.set("licence", licence::to_value(r.review));
    out.set("licence_answers", licence::to_value(licence_answers(r)));
    out.set("notes", r.notes);
    out.set("not_legal_advice", licence::not_legal_advice());
    return out;
}

ValueMap report_sarif(std::span<const Report> reports, std::string_view version) {
    std::map<std::string, std::uint64_t> index;
    ValueList rules, results;
    for (const Report& r : reports) {
        for (const Result& one : results_of(r)) {
            const auto [at, fresh] = index.emplace(one.rule, index.size());
            if (fresh)
                rules.emplace_back(ValueMap{{"id", one.rule},
                                            {"shortDescription", text("Openness: " + one.rule + ".")},
                                            {"help", text("docs/openness.md says what is looked for and why.")}});
            ValueMap result;
            result.set("ruleId", one.rule);
            result.set("ruleIndex", at->second);
            result.set("level", one.level);
            result.set("message", text(one.message));
            if (!one.file.empty()) {
                ValueMap physical{{"artifactLocation", ValueMap{{"uri", uri_of(one.file)}}}};
                if (one.line > 0) physical.set("region", ValueMap{{"startLine", std::int64_t{one.line}}});
                result.set("locations", ValueList{Value(ValueMap{{"physicalLocation", std::move(physical)}})});
            }
            const std::string print = fmt::format("{}\n{}\n{}\n{}", one.rule, r.subject, one.file, one.message);
            result.set("partialFingerprints", ValueMap{{"freehold/v1", sha256_hex(std::as_bytes(std::span(print)))}});
            result.set("properties", ValueMap{{"subject", r.subject}, {"digest", r.digest}});
            results.emplace_back(std::move(result));
        }
    }
    ValueMap driver;
    driver.set("name", "Freehold");
    driver.set("version", std::string(version));
    driver.set("semanticVersion", std::string(version));
    driver.set("rules", std::move(rules));
    ValueMap run;
    run.set("tool", ValueMap{{"driver", std::move(driver)}});
    run.set("columnKind", "unicodeCodePoints");
    run.set("results", std::move(results));
    ValueMap out;
    out.set("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    out.set("version", "2.1.0");
    out.set("runs", ValueList{Value(std::move(run))});
    return out;
}

}  // namespace freehold::openness
