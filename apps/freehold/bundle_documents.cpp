// The table of makers: a room that has a report for bundles gets a line here.
#include "bundle_documents.h"

#include <array>

#include "freehold/base/value.h"
#include "freehold/licence/review.h"

namespace freehold::cli {
namespace {

using Maker = bundle::Document (*)(const bundle::PackSource& source);

bundle::Document licence_review(const bundle::PackSource& source) {
    licence::Subject subject;
    subject.name = source.name;
    for (const auto& [name, at] : source.files) subject.files.push_back({name, at});
    if (source.stored) subject.record_licence = source.stored->record.licence.id;
    return {"licence-review", "licence-review.json", "application/json",
            to_json(licence::to_value(licence::review(subject)), 2) + "\n"};
}

constexpr std::array<Maker, 1> kMakers = {licence_review};

}  // namespace

std::vector<bundle::Document> bundle_documents(const bundle::PackSource& source) {
    std::vector<bundle::Document> out;
    out.reserve(kMakers.size());
    for (const Maker make : kMakers) out.push_back(make(source));
    return out;
}

}  // namespace freehold::cli
