// freehold scan: look for hostile content in model files, without running any of it.
#include <fmt/format.h>

#include <algorithm>

#include "../console.h"
#include "../progress_bar.h"
#include "../session.h"
#include "freehold/base/printable.h"
#include "freehold/scan/report.h"
#include "freehold/scan/scan.h"
#include "freehold/store/store.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string path;
    bool json = false, sarif = false, all = false, quiet = false;
};

Style style_of(scan::Severity severity) {
    return severity >= scan::Severity::high     ? Style::red
           : severity == scan::Severity::medium ? Style::yellow
                                                : Style::dim;
}

std::string place_of(const scan::Finding& finding) {
    std::string out;
    if (!finding.member.empty()) out += "in " + printable(finding.member, 120);
    if (finding.line) out += fmt::format("{}line {}", out.empty() ? "" : ", ", *finding.line);
    if (finding.offset) out += fmt::format("{}offset {}", out.empty() ? "" : ", ", *finding.offset);
    return out.empty() ? "" : " (" + out + ")";
}

void print_file(const scan::FileResult& file, int width) {
    const scan::Outcome outcome = file.outcome();
    const Style style = outcome == scan::Outcome::finding ? Style::red
                        : outcome == scan::Outcome::clean ? Style::green
                                                          : Style::yellow;
    out(fmt::format("{}  {}  {}\n", styled(fmt::format("{:<11}", scan::outcome_name(outcome)), style),
                    printable(file.path, 300), styled(file.kind.empty() ? "" : "(" + file.kind + ")", Style::dim)));
    const int columns = width == 0 ? 100000 : width;
    for (const scan::Finding& f : file.findings) {
        out(wrapped(fmt::format("    {} {}: {}{}", styled(severity_name(f.severity), style_of(f.severity)), f.rule->id,
                                f.message, place_of(f)),
                    columns, 8) +
            "\n");
        out(wrapped(fmt::format("        {}", f.rule->way_out), columns, 8) + "\n");
    }
    for (const scan::Gap& gap : file.gaps)
        out(wrapped(fmt::format("    not scanned{}: {}", gap.member.empty() ? "" : ", " + printable(gap.member, 120),
                                gap.reason),
                    columns, 8) +
            "\n");
}

void print_table(const scan::Report& report, const Options& o) {
    const int width = stdout_is_terminal() ? terminal_width() : 0;
    for (const scan::FileResult& file : report.files) {
        if (o.all || file.outcome() != scan::Outcome::clean) print_file(file, width);
    }
    std::uint64_t bytes = 0;
    for (const scan::FileResult& file : report.files) bytes += file.bytes;
    out(fmt::format("{} file{}, {}, in {}: {} clean, {} with findings, {} not scanned or not wholly.\n",
                    report.files.size(), report.files.size() == 1 ? "" : "s", human_bytes(bytes),
                    human_seconds(report.seconds), report.count(scan::Outcome::clean),
                    report.count(scan::Outcome::finding), report.count(scan::Outcome::not_scanned)));
}

int scan_verb(const Options& o) {
    std::filesystem::path path = o.path;
    std::error_code ec;
    if (!std::filesystem::exists(path, ec)) path = locate_model(Store::open(), o.path).path;
    scan::Report report;
    {
        ProgressBar bar(o.quiet || !stderr_is_terminal());
        scan::Options options;
        options.progress = bar.callback();
        report = scan::scan_path(path, options);
    }
    if (o.sarif)
        out(to_json(Value(report_sarif(report, FREEHOLD_VERSION)), 2) + "\n");
    else if (o.json)
        out(to_json(Value(report_json(report, FREEHOLD_VERSION)), 2) + "\n");
    else if (!o.quiet)
        print_table(report, o);
    return static_cast<int>(report.outcome());
}

}  // namespace

Action setup_scan(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("PATH", o->path, "A file, a folder, or a stored name")->required()->type_name("PATH");
    app.add_flag("-a,--all", o->all, "List clean files too");
    app.add_flag("-q,--quiet", o->quiet, "Say nothing; the exit code tells");
    add_json_flag(app, o->json);
    app.add_flag("--sarif", o->sarif, "SARIF 2.1.0, for the viewers of code scanners");
    app.footer(
        "Nothing that is looked at is ever run. Exit codes: 0 clean, 1 something was found, 2 something could not be\n"
        "looked at (encrypted, damaged, too large, of an unknown kind). docs/scan.md says what is looked for.\n\n"
        "Examples\n"
        "  freehold scan ./downloads/model\n"
        "  freehold scan model.pt --json\n"
        "  freehold scan . --sarif > findings.sarif");
    return [o] { return scan_verb(*o); };
}

}  // namespace freehold::cli
