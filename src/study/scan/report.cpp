// The two forms for programs. Fingerprints are made of rule, path, member and message: viewers disagree otherwise.
#include "freehold/scan/report.h"

#include <fmt/format.h>

#include <array>

#include "freehold/base/hash.h"
#include "freehold/base/printable.h"

namespace freehold::scan {
namespace {

ValueMap finding_json(const Finding& f) {
    ValueMap map;
    map.set("rule", f.rule->id);
    map.set("severity", severity_name(f.severity));
    if (!f.member.empty()) map.set("member", valid_utf8(f.member));
    if (f.offset) map.set("offset", *f.offset);
    if (f.line) map.set("line", *f.line);
    map.set("message", valid_utf8(f.message));
    map.set("way_out", f.rule->way_out);
    return map;
}

// A path as a relative reference (RFC 3986): what is not plain is %-encoded.
std::string uri_of(const std::string& path) {
    std::string out;
    for (const char c : path) {
        const auto u = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~' || c == '/';
        if (plain)
            out += c;
        else
            out += fmt::format("%{:02X}", u);
    }
    return out;
}

const char* level_of(Severity s) {
    return s >= Severity::high ? "error" : s == Severity::medium ? "warning" : "note";
}
const char* score_of(Severity s) {
    constexpr std::array kScores = {"3.0", "5.5", "8.0", "9.8"};
    return kScores[static_cast<std::size_t>(s)];
}

Value text_value(std::string text) {
    return Value(ValueMap{{"text", std::move(text)}});
}

ValueMap location(const FileResult& file, const Finding* f) {
    ValueMap physical{{"artifactLocation", ValueMap{{"uri", uri_of(file.path)}}}};
    if (f != nullptr && f->line && f->member.empty())
        physical.set("region", ValueMap{{"startLine", *f->line}});
    else if (f != nullptr && f->offset && f->member.empty())
        physical.set("region", ValueMap{{"byteOffset", *f->offset}, {"byteLength", std::uint64_t{1}}});
    return ValueMap{{"physicalLocation", std::move(physical)}};
}

Value rules_value() {
    ValueList rules;
    for (const Rule& rule : all_rules()) {
        ValueMap map;
        map.set("id", rule.id);
        map.set("shortDescription", text_value(rule.summary));
        map.set("help", text_value(rule.way_out));
        map.set("defaultConfiguration", ValueMap{{"level", level_of(rule.severity)}});
        map.set("properties",
                ValueMap{{"tags", ValueList{Value("security")}}, {"security-severity", score_of(rule.severity)}});
        rules.emplace_back(std::move(map));
    }
    return Value(std::move(rules));
}

ValueMap result_value(const FileResult& file, const Finding& f) {
    std::uint64_t index = 0;
    while (&all_rules()[index] != f.rule) ++index;
    std::string text = (f.member.empty() ? "" : "In " + f.member + ": ") + f.message + " " + f.rule->way_out;
    const std::string said = fmt::format("{}\n{}\n{}\n{}", f.rule->id, file.path, f.member, f.message);
    const std::string print = sha256_hex(std::as_bytes(std::span(said)));
    ValueMap map;
    map.set("ruleId", f.rule->id);
    map.set("ruleIndex", index);
    map.set("level", level_of(f.severity));
    map.set("message", text_value(valid_utf8(text)));
    map.set("locations", ValueList{Value(location(file, &f))});
    map.set("partialFingerprints", ValueMap{{"freehold/v1", print}});
    ValueMap more{{"severity", severity_name(f.severity)}, {"security-severity", score_of(f.severity)}};
    if (!f.member.empty()) more.set("member", valid_utf8(f.member));
    if (f.offset) more.set("offset", *f.offset);
    if (f.line) more.set("line", *f.line);
    map.set("properties", std::move(more));
    return map;
}

int exit_of(const Report& report) {
    return static_cast<int>(report.outcome());
}

}  // namespace

ValueMap report_json(const Report& report, std::string_view version) {
    ValueMap out;
    out.set("target", valid_utf8(report.target));
    out.set("version", std::string(version));
    out.set("rules", kRulesVersion);
    out.set("outcome", outcome_name(report.outcome()));
    if (const auto worst = report.worst()) out.set("worst", severity_name(*worst));
    out.set("counts", ValueMap{{"files", std::uint64_t{report.files.size()}},
                               {"clean", std::uint64_t{report.count(Outcome::clean)}},
                               {"finding", std::uint64_t{report.count(Outcome::finding)}},
                               {"not_scanned", std::uint64_t{report.count(Outcome::not_scanned)}}});
    out.set("seconds", report.seconds);
    ValueList files;
    for (const FileResult& file : report.files) {
        ValueMap entry;
        entry.set("path", valid_utf8(file.path));
        entry.set("kind", file.kind);
        entry.set("bytes", file.bytes);
        entry.set("outcome", outcome_name(file.outcome()));
        ValueList findings, gaps;
        for (const Finding& f : file.findings) findings.emplace_back(finding_json(f));
        for (const Gap& g : file.gaps)
            gaps.emplace_back(ValueMap{{"member", valid_utf8(g.member)}, {"reason", valid_utf8(g.reason)}});
        entry.set("findings", std::move(findings));
        entry.set("not_scanned", std::move(gaps));
        files.emplace_back(std::move(entry));
    }
    out.set("files", std::move(files));
    return out;
}

ValueMap report_sarif(const Report& report, std::string_view version) {
    ValueMap driver;
    driver.set("name", "Freehold");
    driver.set("version", std::string(version));
    driver.set("semanticVersion", std::string(version));
    driver.set("rules", rules_value());
    ValueList results, notifications, artifacts;
    for (const FileResult& file : report.files) {
        artifacts.emplace_back(ValueMap{{"location", ValueMap{{"uri", uri_of(file.path)}}}, {"length", file.bytes}});
        for (const Finding& f : file.findings) results.emplace_back(result_value(file, f));
        for (const Gap& g : file.gaps) {
            ValueMap note;
            note.set("level", "warning");
            note.set("message", text_value(valid_utf8("Not scanned: " +
                                                      (g.member.empty() ? g.reason : g.member + ": " + g.reason))));
            note.set("locations", ValueList{Value(location(file, nullptr))});
            notifications.emplace_back(std::move(note));
        }
    }
    ValueMap invocation;
    invocation.set("executionSuccessful", true);
    invocation.set("exitCode", exit_of(report));
    invocation.set("toolExecutionNotifications", std::move(notifications));
    ValueMap run;
    run.set("tool", ValueMap{{"driver", std::move(driver)}});
    run.set("invocations", ValueList{Value(std::move(invocation))});
    run.set("artifacts", std::move(artifacts));
    run.set("results", std::move(results));
    run.set("columnKind", "utf16CodeUnits");
    ValueMap out;
    out.set("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    out.set("version", "2.1.0");
    out.set("runs", ValueList{Value(std::move(run))});
    return out;
}

}  // namespace freehold::scan
