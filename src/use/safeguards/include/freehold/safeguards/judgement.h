// What guards find in a text, and what is done about it.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::safeguards {

struct Config;
struct GuardConfig;

// The names that OpenAI's moderation answers with. An operator's own categories stand beside them.
constexpr std::array<std::string_view, 13> kCommonCategories = {"harassment",
                                                                "harassment/threatening",
                                                                "hate",
                                                                "hate/threatening",
                                                                "illicit",
                                                                "illicit/violent",
                                                                "self-harm",
                                                                "self-harm/intent",
                                                                "self-harm/instructions",
                                                                "sexual",
                                                                "sexual/minors",
                                                                "violence",
                                                                "violence/graphic"};

struct Hit {
    std::string category;
    double score = 1;  // 0 to 1
    std::string rule;  // name of the rule, or the model's hazard code
};

// Of one guard about one text.
struct Judgement {
    std::vector<Hit> hits;
    std::string unjudged;  // why it could not judge; empty: it did. Hits found before count all the same.
};

// Rising, so that the worst of several is the largest.
enum class Verdict { passed, flagged, unjudged, refused };
[[nodiscard]] const char* verdict_name(Verdict verdict) noexcept;  // "passed", ...

struct Decision {
    std::string guard;
    Verdict verdict = Verdict::passed;
    std::string category, rule;  // of the highest score; empty without a hit
    double score = 0;
    std::string why;  // with unjudged
    // The text goes no further: refused, or not judged by a guard that is set to refuse then.
    bool stops = false;

    // "house-rules: refused personal-data 1.00 (card-number)"
    [[nodiscard]] std::string str() const;
};

// From which score a category counts.
[[nodiscard]] double threshold_of(const Config& config, std::string_view category);
[[nodiscard]] Decision decide(const Config& config, const GuardConfig& guard, const Judgement& judgement);

}  // namespace freehold::safeguards
