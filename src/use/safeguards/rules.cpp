// The rules of one guard over one text.
#include "freehold/safeguards/rules.h"

#include <fmt/format.h>

#include <optional>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "pattern.h"
#include "words.h"

namespace freehold::safeguards {

struct Rules::Rule {
    std::string name, category;
    double score;
    bool as_written;
    std::optional<Pattern> pattern;
    std::optional<WordList> words;
};

Rules::Rules(const std::vector<RuleConfig>& rules, std::chrono::milliseconds budget) : budget_(budget) {
    for (const RuleConfig& config : rules) {
        Rule rule{config.name, config.category, config.score, config.as_written, {}, {}};
        if (config.pattern.empty()) {
            rule.words.emplace(config.words);
            any_words_ = true;
            if (rule.words->empty()) throw Error(ErrorKind::usage, "The list holds no word.");
        } else {
            rule.pattern.emplace(config.pattern, config.case_sensitive);
            any_patterns_ = true;
            if (rule.pattern->find("", Budget(std::chrono::seconds(1))) == Found::yes) {
                throw Error(ErrorKind::usage, "The pattern fires on an empty text, and so on every text.",
                            "Leave out the * or ? that lets it match nothing.");
            }
        }
        rules_.push_back(std::move(rule));
    }
}

Rules::~Rules() = default;

Judgement Rules::judge(std::string_view text) const {
    Judgement judgement;
    if (text.size() > kMostText) {
        judgement.unjudged = fmt::format("the text has {} bytes, and at most {} are looked at", text.size(), kMostText);
        return judgement;
    }
    const Budget budget(budget_);
    const std::string folded = any_words_ ? normalised(text, true) : std::string();
    const std::vector<std::string_view> words = words_of(folded);
    const std::string plain = any_patterns_ ? normalised(text, false) : std::string();
    std::optional<std::string> written;
    for (const Rule& rule : rules_) {
        bool hit = false;
        if (rule.words) {
            hit = rule.words->found_in(words);
        } else {
            if (rule.as_written && !written) written = valid_utf8(text);
            const Found found = rule.pattern->find(rule.as_written ? *written : plain, budget);
            hit = found == Found::yes;
            if (found == Found::gave_up && judgement.unjudged.empty())
                judgement.unjudged = fmt::format("the rule {} needs too long on this text", rule.name);
        }
        if (hit) judgement.hits.push_back({rule.category, rule.score, rule.name});
    }
    return judgement;
}

}  // namespace freehold::safeguards
