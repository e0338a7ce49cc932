// Scans the fetched files one by one; the verdict is kept in the record under "scan".
#include "scan_flow.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>

#include "console.h"
#include "freehold/base/printable.h"
#include "freehold/scan/report.h"
#include "freehold/scan/scan.h"

namespace freehold::cli {
namespace {

std::string now() {
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

scan::Report scan_files(const FetchedModel& model, const Progress& progress, unsigned threads) {
    scan::Report report;
    report.target = model.source;
    const auto start = std::chrono::steady_clock::now();
    scan::Options options;
    options.threads = threads;
    if (progress) {
        options.progress = [&](const ProgressEvent& event) {
            progress({"looking for hostile content", event.done, event.total, event.unit});
        };
    }
    for (const auto& file : model.files)
        report.files.push_back(scan::scan_file(std::filesystem::canonical(file.second), file.first, options));
    scan::weigh_remote_code(report);
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report;
}

const scan::Finding* worst_of(const scan::Report& report, std::string& path) {
    const scan::Finding* worst = nullptr;
    for (const scan::FileResult& file : report.files) {
        for (const scan::Finding& finding : file.findings) {
            if (worst != nullptr && finding.severity <= worst->severity) continue;
            worst = &finding;
            path = file.path;
        }
    }
    return worst;
}

std::string field(const ValueMap& map, std::string_view key) {
    const Value* value = map.find(key);
    return value == nullptr ? std::string() : std::string(value->as_string().value_or(""));
}

const ValueMap* scan_note(const ModelRecord& record) {
    const Value* note = record.extra.find("scan");
    return note == nullptr ? nullptr : note->get<ValueMap>();
}

}  // namespace

PullVerdict scan_fetched(const FetchedModel& model, const Progress& progress,
                         const std::function<void(const std::string&)>& notice, unsigned threads) {
    const scan::Report report = scan_files(model, progress, threads);
    PullVerdict verdict;
    std::string path;
    const scan::Finding* worst = worst_of(report, path);
    if (worst != nullptr && worst->severity >= scan::Severity::medium) {
        verdict.refusal =
            fmt::format("{} was not kept: {} in {} ({}, {}). {}", model.name.str(), worst->rule->summary,
                        printable(path), worst->rule->id, scan::severity_name(worst->severity), worst->message);
        verdict.hint = worst->rule->way_out;
        verdict.report = to_json(Value(scan::report_json(report, FREEHOLD_VERSION)), 2) + "\n";
        return verdict;
    }
    std::uint64_t low = 0, gaps = 0;
    for (const scan::FileResult& file : report.files) {
        low += file.findings.size();
        gaps += file.gaps.size();
        for (const scan::Finding& finding : file.findings)
            if (notice) notice(fmt::format("{}: {} ({})", printable(file.path), finding.message, finding.rule->id));
        for (const scan::Gap& gap : file.gaps)
            if (notice) notice(fmt::format("{} was not looked at wholly: {}", printable(file.path), gap.reason));
    }
    ValueMap note;
    note.set("outcome", scan::outcome_name(report.outcome()));
    note.set("version", FREEHOLD_VERSION);
    note.set("rules", scan::kRulesVersion);
    note.set("at", now());
    note.set("findings", low);
    note.set("not_scanned", gaps);
    verdict.note.set("scan", std::move(note));
    return verdict;
}

std::string scan_word(const ModelRecord& record) {
    const ValueMap* note = scan_note(record);
    if (note == nullptr) return "no";
    const std::string outcome = field(*note, "outcome");
    return outcome == "finding" ? "low" : outcome == "not scanned" ? "partly" : outcome;
}

std::string scan_line(const ModelRecord& record) {
    const ValueMap* note = scan_note(record);
    if (note == nullptr)
        return "no: it came before there was a scanner, or with --no-scan (freehold scan NAME looks at it)";
    const Value* rules = note->find("rules");
    const std::string outcome = field(*note, "outcome");
    const std::string said = outcome == "finding"       ? "only findings of low severity"
                             : outcome == "not scanned" ? "not wholly"
                                                        : outcome;
    return fmt::format("{}, by Freehold {} (rules {}), {}", said, field(*note, "version"),
                       rules == nullptr ? 0 : rules->as_int().value_or(0), age_of(field(*note, "at")));
}

}  // namespace freehold::cli
