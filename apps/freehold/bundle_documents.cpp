// The table of makers: a room that has a report for bundles gets a line here.
#include "bundle_documents.h"

#include <array>

#include "freehold/base/value.h"
#include "freehold/licence/review.h"
#include "freehold/openness/report.h"

namespace freehold::cli {
namespace {

using Makes = std::vector<bundle::Document>;
using Maker = Makes (*)(const Store& store, const bundle::PackSource& source);

licence::Subject subject_of(const bundle::PackSource& source) {
    licence::Subject subject;
    subject.name = source.name;
    for (const auto& [name, at] : source.files) subject.files.push_back({name, at});
    if (source.stored) subject.record_licence = source.stored->record.licence.id;
    return subject;
}

Makes licence_review(const Store&, const bundle::PackSource& source) {
    return {{"licence-review", "licence-review.json", "application/json",
             to_json(licence::to_value(licence::review(subject_of(source))), 2) + "\n"}};
}

Makes openness_report(const Store& store, const bundle::PackSource& source) {
    openness::Target target;
    if (source.stored)
        target = openness::target_of_model(store, *source.stored);
    else
        target.subject = subject_of(source);
    const std::vector<openness::Report> reports = {
        openness::examine(target, openness::own_public_key(store.home() / "attestations"))};
    // Without a date, so that the same model gives the same bytes.
    return {{"openness", "openness.json", "application/json",
             to_json(Value(openness::report_json(reports.front(), FREEHOLD_VERSION)), 2) + "\n"},
            {"openness-page", "openness.html", "text/html", openness::report_html(reports, {}, FREEHOLD_VERSION, {})}};
}

constexpr std::array<Maker, 2> kMakers = {licence_review, openness_report};

}  // namespace

std::vector<bundle::Document> bundle_documents(const Store& store, const bundle::PackSource& source) {
    std::vector<bundle::Document> out;
    for (const Maker make : kMakers)
        for (bundle::Document& document : make(store, source)) out.push_back(std::move(document));
    return out;
}

}  // namespace freehold::cli
