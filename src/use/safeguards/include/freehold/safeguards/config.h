// The operator's file of safeguards (YAML). docs/safeguards.md describes every key.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace freehold::safeguards {

class Rules;

// One thing that a guard of rules looks for: a pattern, or words.
struct RuleConfig {
    std::string name, category;
    double score = 1;                // of a hit
    std::string pattern;             // PCRE2; empty: words
    std::vector<std::string> words;  // whole words or phrases, whatever their case
    bool case_sensitive = false;     // of a pattern
    bool as_written = false;         // the pattern sees the text without normalising (to find what is invisible)
    std::vector<std::string> fires_on, silent_on;
    std::string where;  // "safeguards.yaml:12"
};

struct GuardConfig {
    enum class Kind : std::uint8_t { rules, model };
    enum class Action : std::uint8_t { refuse, flag };
    std::string name;
    Kind kind = Kind::rules;
    bool on_input = true, on_output = false;
    Action action = Action::refuse;
    bool refuse_unjudged = true;  // what a guard that refuses does with a text that it could not judge
    std::vector<RuleConfig> rules;
    std::string model;                         // stored name
    std::map<std::string, std::string> codes;  // of a model's answer to categories; an empty category: ignored
    std::vector<std::string> fires_on, silent_on;
    std::string where;
    std::shared_ptr<const Rules> compiled;  // of `rules`; null for a model
};

struct Config {
    std::vector<GuardConfig> guards;
    std::map<std::string, double, std::less<>> thresholds;  // 0.5 for every other category
    std::chrono::milliseconds budget{200};                  // processor time of one guard's rules for one text
};

// What is wrong in a line of the file.
struct Fault {
    std::string where;  // "/etc/freehold/safeguards.yaml:12"
    std::string message, hint;
};

struct ReadConfig {
    Config config;
    std::vector<Fault> faults;
};
// Reads the file, compiles its rules and tries their examples. Throws nothing: what is wrong is in `faults`, also that
// the file is not there.
[[nodiscard]] ReadConfig read_config(const std::filesystem::path& file);
// The same for a server that starts: throws the first fault as Error{usage}.
[[nodiscard]] Config load_config(const std::filesystem::path& file);

}  // namespace freehold::safeguards
