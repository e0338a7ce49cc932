// The rules of one guard, ready to judge texts.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

#include "freehold/safeguards/config.h"
#include "freehold/safeguards/judgement.h"

namespace freehold::safeguards {

// A longer text is not judged (and told as such): no prompt that fits a context is so long.
constexpr std::size_t kMostText = 4U << 20U;

// Immutable once made; judge() may be called from many threads.
class Rules {
 public:
    // Error{usage} for a pattern that does not compile, or that fires on the empty text.
    Rules(const std::vector<RuleConfig>& rules, std::chrono::milliseconds budget);
    ~Rules();
    Rules(const Rules&) = delete;
    Rules& operator=(const Rules&) = delete;

    // Every rule that fires, in their order. Unjudged when a pattern needs too many steps on this text, when all rules
    // together took more processor time than the budget, or when the text is too long.
    // Words are compared after Unicode's case folding and compatibility mapping, without invisible characters; patterns
    // see the text mapped alike but with its case. A match of up to 4 KiB is always found, a longer one perhaps not.
    [[nodiscard]] Judgement judge(std::string_view text) const;

 private:
    struct Rule;
    std::vector<Rule> rules_;
    std::chrono::milliseconds budget_;
    bool any_words_ = false, any_patterns_ = false;
};

}  // namespace freehold::safeguards
