// The fields of the EU's template for the public summary of training content (Article 53(1)(d) of the AI Act).
#pragma once

#include <span>

namespace freehold::bundle {

struct SummaryField {
    const char* id;        // "2.3.period": the key in the facts
    const char* section;   // heading it stands under
    const char* question;  // what is asked
};
[[nodiscard]] std::span<const SummaryField> summary_fields() noexcept;

}  // namespace freehold::bundle
