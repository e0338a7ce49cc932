// The documents of a bundle, one maker each. Each adds what it had to leave out to `gaps`.
#pragma once

#include <string>
#include <vector>

#include "freehold/bundle/pack.h"
#include "subject.h"

namespace freehold::bundle {

using Gaps = std::vector<Gap>;

[[nodiscard]] std::string model_card(const Subject& subject, Gaps& gaps);  // Markdown with front matter
[[nodiscard]] std::string cyclonedx(const Subject& subject, Gaps& gaps);   // CycloneDX 1.6, JSON
[[nodiscard]] std::string spdx(const Subject& subject, Gaps& gaps);        // SPDX 3.0.1, JSON-LD
[[nodiscard]] std::string croissant(const Subject& subject, const Dataset& set, Gaps& gaps);  // Croissant 1.1, JSON-LD
[[nodiscard]] std::string summary_markdown(const Subject& subject, Gaps& gaps);               // the EU's template
[[nodiscard]] std::string summary_json(const Subject& subject);
[[nodiscard]] std::string lineage_document(const Subject& subject);
[[nodiscard]] std::string recipe_document(const Subject& subject, Gaps& gaps);
[[nodiscard]] std::string results_document(const Subject& subject);
// A name that is safe as a file name: letters, digits, '.', '-' and '_'.
[[nodiscard]] std::string file_stem(std::string_view name);

}  // namespace freehold::bundle
