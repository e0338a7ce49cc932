// A model as a guard, in the manner of Llama Guard: it reads a conversation through its own template and answers
// "safe", or "unsafe" and the codes of the hazards.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/safeguards/config.h"
#include "freehold/safeguards/judgement.h"

namespace freehold::safeguards {

// Codes of Llama Guard 3 (the hazards of MLCommons, S1 to S14) to categories.
[[nodiscard]] const std::map<std::string, std::string>& common_codes();

constexpr int kMostAnswerTokens = 32;    // a guard's answer is cut there
constexpr int kAnswerAlternatives = 20;  // alternatives of each token that are looked at

// The messages for the guard's template: one of the user, and for an answer one of the assistant. What looks like a
// control token of a template is broken up, so that a text cannot write the guard's answer itself.
[[nodiscard]] ValueList guard_messages(std::string_view asked, std::string_view answered, bool is_answer);

// One token of the guard's answer and what else it might have been.
struct AnswerToken {
    std::string text;
    float logprob = 0;
    std::vector<std::pair<std::string, float>> alternatives;
};
// The score is P(unsafe) / (P(unsafe) + P(safe)) at the first token that is no white space. Unjudged when the answer
// says neither.
[[nodiscard]] Judgement read_answer(const GuardConfig& guard, const std::vector<AnswerToken>& answer);

}  // namespace freehold::safeguards
