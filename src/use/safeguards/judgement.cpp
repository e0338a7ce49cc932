// From a judgement to a decision.
#include "freehold/safeguards/judgement.h"

#include <fmt/format.h>

#include "freehold/safeguards/config.h"

namespace freehold::safeguards {

const char* verdict_name(Verdict verdict) noexcept {
    switch (verdict) {
        case Verdict::passed:
            return "passed";
        case Verdict::flagged:
            return "flagged";
        case Verdict::unjudged:
            return "unjudged";
        case Verdict::refused:
            return "refused";
    }
    return "";
}

std::string Decision::str() const {
    std::string text = fmt::format("{}: {}", guard, verdict_name(verdict));
    if (!category.empty()) text += fmt::format(" {} {:.2f} ({})", category, score, rule);
    if (verdict == Verdict::unjudged) text += fmt::format(", {}: {}", stops ? "stopped" : "let through", why);
    return text;
}

double threshold_of(const Config& config, std::string_view category) {
    const auto said = config.thresholds.find(category);
    return said == config.thresholds.end() ? 0.5 : said->second;
}

Decision decide(const Config& config, const GuardConfig& guard, const Judgement& judgement) {
    Decision decision;
    decision.guard = guard.name;
    const Hit* top = nullptr;
    bool counts = false;
    // What counts goes before what is only high.
    for (const Hit& hit : judgement.hits) {
        const bool over = hit.score >= threshold_of(config, hit.category);
        if (top != nullptr && (counts && !over)) continue;
        if (top != nullptr && counts == over && hit.score <= top->score) continue;
        top = &hit;
        counts = over;
    }
    if (top != nullptr) {
        decision.category = top->category;
        decision.rule = top->rule;
        decision.score = top->score;
    }
    const bool refuses = guard.action == GuardConfig::Action::refuse;
    if (counts) {
        decision.verdict = refuses ? Verdict::refused : Verdict::flagged;
        decision.stops = refuses;
    } else if (!judgement.unjudged.empty()) {
        decision.verdict = Verdict::unjudged;
        decision.why = judgement.unjudged;
        decision.stops = refuses && guard.refuse_unjudged;
    }
    return decision;
}

}  // namespace freehold::safeguards
