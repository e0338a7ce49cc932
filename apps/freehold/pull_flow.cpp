// Says size and licence before the first large byte moves, and draws the progress afterwards.
#include "pull_flow.h"

#include <fmt/format.h>

#include "advisory_flow.h"
#include "console.h"
#include "interrupt.h"
#include "panels.h"
#include "progress_bar.h"
#include "scan_flow.h"

namespace freehold::cli {

std::string licence_line(const Licence& licence) {
    if (licence.id.empty()) return "not stated by its source (freehold show prints what the file itself says)";
    std::string text = fmt::format("{} ({}: {})", licence.id, licence_category_name(licence.category),
                                   licence_category_meaning(licence.category));
    if (!licence.url.empty()) text += " " + licence.url;
    return text;
}

PullResult PullFlow::run(Store& store, const std::string& what) {
    if (panels) static_cast<void>(panels_wanted());  // a wrong wish is told before anything is fetched
    const InterruptGuard guard;
    ProgressBar bar(quiet);
    options.progress = bar.callback();
    options.notice = [&](const std::string& sentence) {
        bar.clear();
        if (!quiet) cli::notice(sentence);
    };
    options.announce = [&](const PullPlan& plan) {
        bar.clear();
        if (!quiet) {
            Facts facts;
            facts.add("model", plan.name.str());
            if (!plan.description.empty()) facts.add("what", plan.description);
            facts.add("size", plan.bytes > 0 ? human_bytes(plan.bytes) : "not known beforehand");
            facts.add("licence", licence_line(plan.licence));
            facts.add("from", plan.source);
            err(facts.str(stderr_is_terminal() ? terminal_width() : 0));
        }
        if (!plan.present && ask && !ask()) throw Error(ErrorKind::cancelled, "Nothing was fetched.");
    };
    if (!scan) cli::notice("--no-scan: what is fetched is kept without a look for hostile content.");
    if (what.starts_with("oci:")) import_attached(store, what, options.plain_http, options.notice);
    options.vet = [&](const FetchedModel& model) {
        PullVerdict verdict = heed_fetched(store, model, advisory_policy(), options.progress, options.notice);
        return scan && verdict.refusal.empty() ? scan_fetched(model, options.progress, options.notice) : verdict;
    };
    PullResult result = pull(store, what, options);
    panel_bytes = panels && !is_adapter(result.model.record)
                      ? keep_panels(store, result.model, options.progress, options.notice)
                      : store.panel_bytes(result.model);
    return result;
}

}  // namespace freehold::cli
