// An answer as --json prints it, and the line of statistics for people.
#pragma once

#include <string>

#include "freehold/base/value.h"
#include "freehold/engine/session.h"
#include "session.h"

namespace freehold::cli {

// text, tokens, finish_reason, usage, timings, and log-probabilities when they were asked for.
[[nodiscard]] ValueMap answer_json(const Answer& answer, const LoadedModel& model, double load_seconds);
// "prompt 31 tokens (0 cached), 412/s; answer 57 tokens, 85.3/s; first token after 75 ms"
[[nodiscard]] std::string answer_stats(const Answer& answer);

}  // namespace freehold::cli
