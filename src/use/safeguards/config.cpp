// yaml-cpp behind config.h. Every key is known or a fault; every guard proves on its examples that it fires.
#include "freehold/safeguards/config.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/safeguards/model_guard.h"
#include "freehold/safeguards/rules.h"

namespace freehold::safeguards {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 16U << 20U;
constexpr std::size_t kMostGuards = 64, kMostRules = 4096;

std::string in_quotes(std::string_view text) {
    return fmt::format("\"{}\"", printable(text, 80));
}

class Reader {
 public:
    Reader(const fs::path& file, std::vector<Fault>& faults) : file_(file), faults_(faults) {}

    Config read(const YAML::Node& root) {
        Config config;
        if (!map(root, "the file", {"budget_ms", "thresholds", "unjudged", "guards"})) return config;
        config.budget = std::chrono::milliseconds(static_cast<std::int64_t>(number(root["budget_ms"], 1, 60'000, 200)));
        if (const YAML::Node node = root["thresholds"]) {
            if (!node.IsMap()) {
                tell(node, "thresholds must be categories and numbers.");
            } else {
                for (const auto& item : node) config.thresholds[text(item.first)] = number(item.second, 0.0001, 1, 0.5);
            }
        }
        const bool refuse_unjudged = choice(root["unjudged"], "unjudged", {"refuse", "pass"}, 0) == 0;
        const YAML::Node guards = root["guards"];
        if (!guards || !guards.IsSequence() || guards.size() == 0 || guards.size() > kMostGuards) {
            tell(guards ? guards : root, fmt::format("guards must be a list of 1 to {} guards.", kMostGuards));
            return config;
        }
        std::set<std::string> names;
        for (const YAML::Node& node : guards) {
            GuardConfig guard = read_guard(node, refuse_unjudged);
            if (!guard.name.empty() && !names.insert(guard.name).second)
                tell(node, fmt::format("Two guards are called {}.", in_quotes(guard.name)));
            config.guards.push_back(std::move(guard));
        }
        return config;
    }

    void tell_at(std::string where, std::string message, std::string hint = {}) {
        faults_.push_back({std::move(where), std::move(message), std::move(hint)});
    }
    void tell(const YAML::Node& node, std::string message, std::string hint = {}) {
        tell_at(where(node.Mark()), std::move(message), std::move(hint));
    }
    [[nodiscard]] std::string where(const YAML::Mark& mark) const {
        return mark.is_null() ? file_.string() : fmt::format("{}:{}", file_.string(), mark.line + 1);
    }

 private:
    // Is it a map with these keys and no others, each once?
    bool map(const YAML::Node& node, std::string_view what, std::initializer_list<std::string_view> keys) {
        if (!node.IsMap()) {
            tell(node, fmt::format("{} must be made of KEY: VALUE.", what));
            return false;
        }
        std::set<std::string> seen;
        for (const auto& item : node) {
            const std::string key = item.first.IsScalar() ? item.first.Scalar() : std::string();
            if (std::ranges::find(keys, key) == keys.end()) {
                std::string all;
                for (const std::string_view k : keys) all += (all.empty() ? "" : ", ") + std::string(k);
                tell(item.first, fmt::format("{} is no key of {}.", in_quotes(key), what), "It has " + all + ".");
            } else if (!seen.insert(key).second) {
                tell(item.first, fmt::format("{} stands twice.", key), "Keep one of them.");
            }
        }
        return true;
    }

    std::string text(const YAML::Node& node) {
        if (node.IsScalar() && !node.Scalar().empty()) return node.Scalar();
        tell(node, "This must be a text.");
        return {};
    }

    std::string need_text(const YAML::Node& map, const char* key, std::string_view what) {
        const YAML::Node node = map[key];
        if (node) return text(node);
        tell(map, fmt::format("{} has no {}.", what, key));
        return {};
    }

    double number(const YAML::Node& node, double least, double most, double otherwise) {
        if (!node) return otherwise;
        const std::string& word = node.IsScalar() ? node.Scalar() : "";
        double value = 0;
        const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), value);
        if (fault == std::errc() && end == word.data() + word.size() && value >= least && value <= most) return value;
        tell(node, fmt::format("This must be a number from {} to {}, not {}.", least, most, in_quotes(word)));
        return otherwise;
    }

    bool yes_no(const YAML::Node& node, const char* key) {
        if (!node) return false;
        if (node.IsScalar() && (node.Scalar() == "true" || node.Scalar() == "false")) return node.Scalar() == "true";
        tell(node, fmt::format("{} must be true or false.", key));
        return false;
    }

    std::size_t choice(const YAML::Node& node, const char* key, std::initializer_list<std::string_view> words,
                       std::size_t otherwise) {
        if (!node) return otherwise;
        const auto* const found =
            std::ranges::find(words, node.IsScalar() ? std::string_view(node.Scalar()) : std::string_view());
        if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
        std::string all;
        for (const std::string_view w : words) all += (all.empty() ? "" : " or ") + std::string(w);
        tell(node, fmt::format("{} must be {}.", key, all));
        return otherwise;
    }

    std::vector<std::string> texts(const YAML::Node& node, const char* key) {
        std::vector<std::string> out;
        if (!node) return out;
        if (!node.IsSequence()) {
            tell(node, fmt::format("{} must be a list of texts.", key), "Write it as [one, other].");
            return out;
        }
        for (const YAML::Node& item : node) out.push_back(text(item));
        return out;
    }

    GuardConfig read_guard(const YAML::Node& node, bool refuse_unjudged) {
        GuardConfig guard;
        guard.where = where(node.Mark());
        if (!node.IsMap()) {
            tell(node, "A guard must be made of KEY: VALUE.");
            return guard;
        }
        const bool is_model = choice(node["kind"], "kind", {"rules", "model"}, 0) == 1;
        guard.kind = is_model ? GuardConfig::Kind::model : GuardConfig::Kind::rules;
        if (is_model)
            map(node, "a guard of kind model",
                {"name", "kind", "apply", "action", "unjudged", "model", "codes", "fires_on", "silent_on"});
        else
            map(node, "a guard of rules",
                {"name", "kind", "apply", "action", "unjudged", "rules", "fires_on", "silent_on"});
        guard.name = need_text(node, "name", "A guard");
        guard.action = choice(node["action"], "action", {"refuse", "flag"}, 0) == 0 ? GuardConfig::Action::refuse
                                                                                    : GuardConfig::Action::flag;
        guard.refuse_unjudged = choice(node["unjudged"], "unjudged", {"refuse", "pass"}, refuse_unjudged ? 0 : 1) == 0;
        read_places(node["apply"], guard);
        guard.fires_on = texts(node["fires_on"], "fires_on");
        guard.silent_on = texts(node["silent_on"], "silent_on");
        if (guard.fires_on.empty()) {
            tell(node, fmt::format("The guard {} has no fires_on: nothing would show that it works.", guard.name),
                 "Give at least one text that it must find something in.");
        }
        if (is_model)
            read_model(node, guard);
        else
            read_rules(node, guard);
        return guard;
    }

    void read_places(const YAML::Node& node, GuardConfig& guard) {
        if (!node) return;
        guard.on_input = guard.on_output = false;
        for (const std::string& place : texts(node, "apply")) {
            if (place == "input")
                guard.on_input = true;
            else if (place == "output")
                guard.on_output = true;
            else
                tell(node, fmt::format("apply names {}.", in_quotes(place)), "It is a list of input and output.");
        }
    }

    void read_model(const YAML::Node& node, GuardConfig& guard) {
        guard.model = need_text(node, "model", "A guard of kind model");
        guard.codes = common_codes();
        const YAML::Node codes = node["codes"];
        if (!codes) return;
        if (!codes.IsMap()) return tell(codes, "codes must be codes and categories.", "Write it as {S6: off}.");
        for (const auto& item : codes) {
            const std::string category = text(item.second);
            guard.codes[text(item.first)] = category == "off" ? "" : category;
        }
    }

    void read_rules(const YAML::Node& node, GuardConfig& guard) {
        const YAML::Node rules = node["rules"];
        if (!rules || !rules.IsSequence() || rules.size() == 0 || rules.size() > kMostRules)
            return tell(rules ? rules : node, fmt::format("rules must be a list of 1 to {} rules.", kMostRules));
        std::set<std::string> names;
        for (const YAML::Node& item : rules) {
            if (!map(item, "a rule",
                     {"name", "category", "score", "pattern", "words", "words_file", "case_sensitive", "as_written",
                      "fires_on", "silent_on"}))
                continue;
            RuleConfig rule;
            rule.where = where(item.Mark());
            rule.name = need_text(item, "name", "A rule");
            rule.category = need_text(item, "category", "A rule");
            rule.score = number(item["score"], 0.0001, 1, 1);
            rule.case_sensitive = yes_no(item["case_sensitive"], "case_sensitive");
            rule.as_written = yes_no(item["as_written"], "as_written");
            if (item["pattern"]) rule.pattern = text(item["pattern"]);
            rule.words = texts(item["words"], "words");
            if (item["words_file"]) read_words(item["words_file"], rule);
            rule.fires_on = texts(item["fires_on"], "fires_on");
            rule.silent_on = texts(item["silent_on"], "silent_on");
            if (rule.pattern.empty() == rule.words.empty())
                tell(item, fmt::format("The rule {} must have either a pattern or words.", rule.name));
            if (rule.pattern.empty() && (rule.case_sensitive || rule.as_written))
                tell(item, "case_sensitive and as_written are for patterns.");
            if (!names.insert(rule.name).second) tell(item, fmt::format("Two rules are called {}.", rule.name));
            guard.rules.push_back(std::move(rule));
        }
    }

    // One word or phrase a line; # begins a remark. A relative path is beside the file that names it.
    void read_words(const YAML::Node& node, RuleConfig& rule) {
        const fs::path path = file_.parent_path() / text(node);
        std::string lines;
        try {
            lines = read_text(path, kMostBytes);
        } catch (const Error& fault) {
            return tell(node, fault.message(), fault.hint());
        }
        for (std::size_t at = 0; at < lines.size();) {
            const std::size_t end = std::min(lines.find('\n', at), lines.size());
            std::string line = lines.substr(at, end - at);
            at = end + 1;
            line.resize(std::min(line.find('#'), line.size()));
            if (line.find_first_not_of(" \t\r") != std::string::npos) rule.words.push_back(std::move(line));
        }
        if (rule.words.empty()) tell(node, fmt::format("{} holds no words.", path.string()));
    }

    const fs::path& file_;
    std::vector<Fault>& faults_;
};

// Does a guard of rules do what its examples say? Compiles it on the way.
void prove_rules(Reader& reader, const Config& config, GuardConfig& guard) {
    for (const RuleConfig& rule : guard.rules) {
        try {
            const Rules one({rule}, config.budget);
            for (const std::string& example : rule.fires_on) {
                if (one.judge(example).hits.empty())
                    reader.tell_at(rule.where, fmt::format("The rule {} does not fire on its example {}.", rule.name,
                                                           in_quotes(example)));
            }
            for (const std::string& example : rule.silent_on) {
                if (!one.judge(example).hits.empty())
                    reader.tell_at(rule.where, fmt::format("The rule {} fires on {}, where it is to be silent.",
                                                           rule.name, in_quotes(example)));
            }
        } catch (const Error& fault) {
            reader.tell_at(rule.where, fmt::format("The rule {}: {}", rule.name, fault.message()), fault.hint());
        }
    }
    try {
        guard.compiled = std::make_shared<const Rules>(guard.rules, config.budget);
    } catch (const Error&) {
        return;  // told above, with the rule's line
    }
    const auto fires = [&](const std::string& example) {
        const Verdict verdict = decide(config, guard, guard.compiled->judge(example)).verdict;
        return verdict == Verdict::flagged || verdict == Verdict::refused;
    };
    for (const std::string& example : guard.fires_on) {
        if (!fires(example))
            reader.tell_at(guard.where,
                           fmt::format("The guard {} does not fire on its example {}.", guard.name, in_quotes(example)),
                           "Mend the rule, or the threshold of its category.");
    }
    for (const std::string& example : guard.silent_on) {
        if (fires(example))
            reader.tell_at(guard.where, fmt::format("The guard {} fires on {}, where it is to be silent.", guard.name,
                                                    in_quotes(example)));
    }
}

bool written_by_others(const fs::path& file) {
    struct stat info {};
    return ::stat(file.c_str(), &info) == 0 && (info.st_mode & S_IWOTH) != 0;
}

}  // namespace

ReadConfig read_config(const fs::path& file) {
    ReadConfig out;
    Reader reader(file, out.faults);
    try {
        const YAML::Node root = YAML::Load(read_text(file, kMostBytes));
        out.config = reader.read(root);
        if (out.faults.empty()) {
            for (GuardConfig& guard : out.config.guards) {
                if (guard.kind == GuardConfig::Kind::rules) prove_rules(reader, out.config, guard);
            }
        }
    } catch (const YAML::Exception& e) {
        reader.tell_at(reader.where(e.mark), fmt::format("This is no YAML: {}.", printable(e.msg, 200)));
    } catch (const Error& e) {
        reader.tell_at(file.string(), e.message(), e.hint());
    }
    if (written_by_others(file)) {
        reader.tell_at(file.string(), "Everybody may write this file, and so decide what is let through.",
                       fmt::format("chmod o-w {}", file.string()));
    }
    return out;
}

Config load_config(const fs::path& file) {
    ReadConfig read = read_config(file);
    if (read.faults.empty()) return std::move(read.config);
    const Fault& first = read.faults.front();
    throw Error(ErrorKind::usage, fmt::format("{}: {}", first.where, first.message),
                first.hint.empty() ? "`freehold config check` names all faults." : first.hint);
}

}  // namespace freehold::safeguards
