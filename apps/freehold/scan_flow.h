// The look that a pull takes at what it fetched, and what is said about it afterwards.
#pragma once

#include <functional>
#include <string>

#include "freehold/base/progress.h"
#include "freehold/store/pull.h"

namespace freehold::cli {

// For PullOptions::vet. Findings of medium severity and above refuse the model; what is less, or could not be looked
// at, is noted with it and told through `notice` (may be empty). `threads` as in scan::Options.
[[nodiscard]] PullVerdict scan_fetched(const FetchedModel& model, const Progress& progress,
                                       const std::function<void(const std::string&)>& notice, unsigned threads = 0);

// "clean", "low", "partly", "no": for a table.
[[nodiscard]] std::string scan_word(const ModelRecord& record);
// "clean, by Freehold 0.1.0 (rules 1), 2 days ago".
[[nodiscard]] std::string scan_line(const ModelRecord& record);

}  // namespace freehold::cli
