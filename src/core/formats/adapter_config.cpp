// adapter_config.json: keys that matter, keys that only tell how it was trained, and keys that must be empty.
#include "adapter_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold {
namespace {

constexpr double kLargestRank = 4096;

// Read below, or without a part in what the finished adapter computes: where and how it was trained, how it began.
constexpr std::array kHarmless = {
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "bias",
    "init_lora_weights",
    "task_type",
    "base_model_name_or_path",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "lora_dropout",
    "inference_mode",
    "fan_in_fan_out",
    "revision",
    "auto_mapping",
    "peft_version",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "runtime_config",
    "megatron_core",
    "ensure_weight_tying",
    "qalora_group_size",
};
// How A and B began. The other ways (pissa, olora, corda, loftq) also change the weights of the base, which are not
// here.
constexpr std::array kPlainStarts = {"gaussian", "eva", "orthogonal", "lora_ga"};

bool says_nothing(const Value& v) {
    if (v.is_null()) return true;
    if (const bool* b = v.get<bool>()) return !*b;
    if (const auto* map = v.get<ValueMap>()) return map->empty();
    if (const auto text = v.as_string()) return text->empty();
    return !v.as_double() && v.size() == 0;
}

// A key of rank_pattern or alpha_pattern names modules by the end of their name, as a regular expression. Plain names
// are what PEFT itself writes: a dot stands for any character, "\." for a dot, "^" for the whole name.
bool is_plain(std::string_view pattern) {
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c == '^' && i == 0) continue;
        if (c == '\\' && i + 1 < pattern.size() && pattern[i + 1] == '.') {
            ++i;
            continue;
        }
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                           c == '.' || c == '-';
        if (!plain) return false;
    }
    return !pattern.empty() && pattern != "^";
}

bool matches(std::string_view pattern, std::string_view module) {
    const bool whole = pattern.starts_with('^');
    if (whole) pattern.remove_prefix(1);
    std::size_t at = module.size();
    for (std::size_t i = pattern.size(); i > 0;) {
        --i;
        if (at == 0) return false;
        --at;
        const bool escaped = i > 0 && pattern[i - 1] == '\\';
        const bool any = pattern[i] == '.' && !escaped;
        if (!any && pattern[i] != module[at]) return false;
        if (escaped) --i;
    }
    return at == 0 || (!whole && module[at - 1] == '.');
}

}  // namespace

void AdapterConfig::fail(std::string_view key, const std::string& why) const {
    throw Error(ErrorKind::bad_file, fmt::format("{}: key \"{}\" {}.", name_, printable(key), why), kDamagedHint);
}

double AdapterConfig::number(const ValueMap& map, std::string_view key, double least, double most) const {
    const Value* v = map.find(key);
    if (v == nullptr) fail(key, "is missing");
    const auto d = v->as_double();
    if (!d || !std::isfinite(*d) || *d < least || *d > most)
        fail(key, fmt::format("is {}, which is no number from {} to {}", to_json(*v), least, most));
    return *d;
}

AdapterConfig::Patterns AdapterConfig::patterns(const ValueMap& map, std::string_view key) const {
    Patterns out;
    const Value* v = map.find(key);
    if (v == nullptr || v->is_null()) return out;
    const auto* of = v->get<ValueMap>();
    if (of == nullptr) fail(key, "is no object of names and numbers");
    for (const ValueEntry& e : *of) {
        const auto d = e.value.as_double();
        if (!d || !std::isfinite(*d) || *d <= 0 || *d > 1e6)
            fail(key, fmt::format("gives \"{}\" the value {}", printable(e.key), to_json(e.value)));
        if (!is_plain(e.key)) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("{}: key \"{}\" names modules by the expression \"{}\"; only plain names are read.",
                                    name_, key, printable(e.key)),
                        "Write the full names of the modules instead.");
        }
        out.emplace_back(e.key, *d);
    }
    return out;
}

AdapterConfig::AdapterConfig(const ValueMap& map, std::string name) : name_(std::move(name)) {
    const Value* const type = map.find("peft_type");
    const auto type_name = type == nullptr ? std::nullopt : type->as_string();
    if (!type_name) fail("peft_type", "is missing or no text");
    if (*type_name != "LORA") {
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} is an adapter of type {}; this build reads LORA.", name_, printable(*type_name)),
                    "Merge it into its model with PEFT (merge_and_unload) and use the merged model.");
    }
    for (const ValueEntry& e : map) {
        if (std::ranges::find(kHarmless, e.key) != kHarmless.end() || says_nothing(e.value)) continue;
        throw Error(ErrorKind::unsupported,
                    fmt::format("{}: key \"{}\" is {}, which asks for more than pairs of low rank.", name_,
                                printable(e.key), printable(to_json(e.value).substr(0, 80))),
                    "Merge it into its model with PEFT (merge_and_unload) and use the merged model.");
    }
    const Value* const bias = map.find("bias");
    if (bias != nullptr && !bias->is_null() && bias->as_string() != "none") {
        throw Error(ErrorKind::unsupported,
                    fmt::format("{}: key \"bias\" is {}: the adapter changes biases too, which is not handled.", name_,
                                printable(to_json(*bias).substr(0, 80))),
                    "Merge it into its model with PEFT (merge_and_unload) and use the merged model.");
    }
    const Value* const start = map.find("init_lora_weights");
    if (start != nullptr && !start->is_null() && start->get<bool>() == nullptr) {
        const auto how = start->as_string();
        if (!how) fail("init_lora_weights", "is neither a truth value nor a text");
        if (std::ranges::find(kPlainStarts, *how) == kPlainStarts.end()) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("{}: key \"init_lora_weights\" is \"{}\", which also changes the base's weights.",
                                    name_, printable(*how)),
                        "Convert it with PEFT (save_pretrained with path_initial_model_for_weight_conversion).");
        }
    }
    rank_ = number(map, "r", 1, kLargestRank);
    alpha_ = number(map, "lora_alpha", -1e6, 1e6);
    if (const Value* v = map.find("use_rslora"); v != nullptr && !v->is_null()) {
        if (v->get<bool>() == nullptr) fail("use_rslora", "is no truth value");
        root_of_rank_ = *v->get<bool>();
    }
    ranks_ = patterns(map, "rank_pattern");
    alphas_ = patterns(map, "alpha_pattern");
    if (const Value* v = map.find("base_model_name_or_path"); v != nullptr && v->as_string())
        base_ = std::string(v->as_string()->substr(0, 512));
}

float AdapterConfig::scale_of(std::string_view module, std::int64_t rank) const {
    const auto of = [module](const Patterns& patterns, double otherwise) {
        for (const auto& [pattern, value] : patterns) {
            if (matches(pattern, module)) return value;
        }
        return otherwise;
    };
    const double said = of(ranks_, rank_);
    if (said != static_cast<double>(rank)) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{}: it gives \"{}\" the rank {}, and its tensors have {}.", name_, printable(module),
                                said, rank),
                    "Config and tensors do not belong together: get both again from one place.");
    }
    return static_cast<float>(of(alphas_, alpha_) / (root_of_rank_ ? std::sqrt(said) : said));
}

}  // namespace freehold
