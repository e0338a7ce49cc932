// freehold verify: is a bundle, or a stored model, what its signer made, and what cannot be told?
#include <fmt/format.h>

#include "../console.h"
#include "../interrupt.h"
#include "../panels.h"
#include "../progress_bar.h"
#include "../session.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/verify.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

constexpr int kBad = 1, kUnknown = 2;

struct Options {
    std::string subject, key;
    bool json = false, quiet = false;
};

bundle::Contents contents_of(const Store& store, const LocatedModel& located) {
    return located.stored ? bundle::contents_of_model(store, *located.stored) : bundle::contents_of_path(located.path);
}

// What a run maps in place of the files that the digests are of.
void check_panels(const Store& store, const StoredModel& model, const Progress& progress,
                  bundle::VerifyReport& report) {
    for (const PanelVerdict& found : examine_panels(store, model, progress)) {
        using Found = PanelVerdict::Outcome;
        const bundle::Outcome outcome = found.outcome == Found::same    ? bundle::Outcome::good
                                        : found.outcome == Found::other ? bundle::Outcome::bad
                                                                        : bundle::Outcome::unknown;
        report.checks.push_back({"panels", outcome,
                                 found.hint.empty() ? found.message : found.message + " " + found.hint,
                                 found.file.filename().string()});
    }
}

Style style_of(bundle::Outcome outcome) {
    switch (outcome) {
        case bundle::Outcome::good:
            return Style::green;
        case bundle::Outcome::bad:
            return Style::red;
        case bundle::Outcome::unknown:
            return Style::yellow;
        case bundle::Outcome::note:
            break;
    }
    return Style::dim;
}

const char* verdict_of(bundle::Outcome outcome) {
    switch (outcome) {
        case bundle::Outcome::bad:
            return "It is NOT what was signed or packed.";
        case bundle::Outcome::unknown:
            return "Nothing is wrong, but not everything could be verified.";
        case bundle::Outcome::good:
        case bundle::Outcome::note:
            break;
    }
    return "It is what was signed.";
}

void print_report(const bundle::VerifyReport& report) {
    const int width = stdout_is_terminal() ? terminal_width() : 100000;
    for (const bundle::Check& check : report.checks)
        out(wrapped(
                fmt::format("{}  {}", styled(fmt::format("{:<7}", outcome_key(check.outcome)), style_of(check.outcome)),
                            printable(check.message, 2000)),
                width, 9) +
            "\n");
    const bundle::Outcome outcome = report.outcome();
    out(fmt::format("{}: {} files, {}. {}\n", report.subject, report.files, human_bytes(report.bytes),
                    styled(verdict_of(outcome), style_of(outcome))));
}

bundle::VerifyReport verified(const Store& store, const Options& o) {
    bundle::VerifyOptions options;
    options.store = &store;
    if (!o.key.empty()) options.key = bundle::PublicKey::load(o.key);
    const InterruptGuard guard;
    ProgressBar bar(o.quiet || (o.json && !stderr_is_terminal()));
    options.progress = bar.callback();
    try {
        // A stored name wins over a path, as everywhere; ./name is the path.
        const LocatedModel located = locate_model(store, o.subject);
        if (located.stored) options.parents = located.stored->record.parents;
        bundle::VerifyReport report = bundle::verify(contents_of(store, located), options);
        if (located.stored) check_panels(store, *located.stored, options.progress, report);
        return report;
    } catch (const Error& e) {
        // An archive that hides something, or ends in its middle, is not what was signed: that is an answer.
        if (e.kind() != ErrorKind::bad_file) throw;
        bundle::VerifyReport report;
        report.subject = o.subject;
        report.checks.push_back({"archive", bundle::Outcome::bad, e.message(), o.subject});
        return report;
    }
}

int verify_verb(const Options& o) {
    const bundle::VerifyReport report = verified(Store::open(), o);
    if (o.json)
        out(to_json(bundle::to_value(report), 2) + "\n");
    else if (!o.quiet)
        print_report(report);
    switch (report.outcome()) {
        case bundle::Outcome::bad:
            return kBad;
        case bundle::Outcome::unknown:
            return kUnknown;
        case bundle::Outcome::good:
        case bundle::Outcome::note:
            break;
    }
    return 0;
}

}  // namespace

Action setup_verify(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("SUBJECT", o->subject, "A bundle (folder or .tar), any signed folder, or a stored model")
        ->required()
        ->type_name("SUBJECT");
    app.add_option("--key", o->key, "The signer's public key, got from elsewhere than the bundle")->type_name("FILE");
    app.add_flag("-q,--quiet", o->quiet, "Say nothing; the exit code tells");
    add_json_flag(app, o->json);
    app.footer(
        "Read are signatures of OpenSSF model signing (model.sig) by a key. Refused is also what the reference "
        "verifier\n"
        "lets through: files that the signer left out, empty lists, names twice, links. An archive is read without "
        "being\n"
        "unpacked; nothing in it is run. Of a stored model the repacked weights that a run maps are made anew from "
        "the\n"
        "files and compared. Exit codes: 0 verified, 1 something is wrong, 2 something could not be "
        "verified\n"
        "(no signature, no key to check it with, files that no signature covers); others as everywhere: 3 it is not\n"
        "there, 6 it cannot be read. A note changes nothing.\n\n"
        "Examples\n"
        "  freehold verify ./bundle --key team.key.pub\n"
        "  freehold verify bundle.tar --key team.key.pub --json\n"
        "  freehold verify smollm2:135m");
    return [o] { return verify_verb(*o); };
}

}  // namespace freehold::cli
