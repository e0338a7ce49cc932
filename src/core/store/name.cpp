// Names of models: name[:tag] as OCI registries spell it, and the categories of licences.
// A name becomes an annotation and a key, never a path, so that it cannot climb out of the store.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/store/store.h"

namespace freehold {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTag = 128;

bool is_lower_alnum(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_separator(char c) noexcept {
    return c == '.' || c == '_' || c == '-';
}

std::string shown(char c) {
    const auto u = static_cast<unsigned char>(c);
    return u >= 0x20 && u < 0x7f ? fmt::format("'{}'", c) : fmt::format("byte 0x{:02x}", u);
}

// What is wrong with the name or tag, or an empty string. `out` is filled as far as it goes.
std::string parse_into(std::string_view text, ModelName& out) {
    if (text.empty()) return "it is empty";
    const auto colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    out.name.clear();
    for (const char c : name) out.name += (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
    if (out.name.empty()) return "there is nothing before the ':'";
    if (out.name.size() > kMaxName) return fmt::format("it is longer than {} characters", kMaxName);
    char previous = '/';
    for (std::size_t i = 0; i < out.name.size(); ++i) {
        const char c = out.name[i];
        if (!is_lower_alnum(c) && !is_separator(c) && c != '/')
            return fmt::format("{} at position {} is not a letter, digit, '.', '_', '-' or '/'", shown(c), i + 1);
        if (!is_lower_alnum(c) && !is_lower_alnum(previous)) {
            // OCI allows "__" and runs of '-', nothing else, inside a part.
            const bool run =
                (c == '-' && previous == '-') || (c == '_' && previous == '_' && i >= 2 && out.name[i - 2] != '_');
            if (!run) return fmt::format("{} at position {} must come after a letter or a digit", shown(c), i + 1);
        }
        previous = c;
    }
    if (!is_lower_alnum(previous)) return fmt::format("it ends in {}", shown(previous));
    out.tag = "latest";
    if (colon == std::string_view::npos) return {};
    const std::string_view tag = text.substr(colon + 1);
    if (tag.empty()) return "there is nothing after the ':'";
    if (tag.size() > kMaxTag) return fmt::format("its tag is longer than {} characters", kMaxTag);
    for (std::size_t i = 0; i < tag.size(); ++i) {
        const char c = tag[i];
        const bool word = is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
        if (!word && (i == 0 || (c != '.' && c != '-')))
            return fmt::format("{} cannot stand at position {} of the tag", shown(c), i + 1);
    }
    out.tag = std::string(tag);
    return {};
}

struct LicenceRule {
    std::string_view prefix;
    LicenceCategory category;
};

// Longest prefix wins; identifiers are compared in lower case. Order within a length does not matter.
constexpr auto kLicenceRules = std::to_array<LicenceRule>({
    {"apache-2.0", LicenceCategory::permissive},
    {"mit", LicenceCategory::permissive},
    {"bsd", LicenceCategory::permissive},
    {"isc", LicenceCategory::permissive},
    {"zlib", LicenceCategory::permissive},
    {"unlicense", LicenceCategory::permissive},
    {"wtfpl", LicenceCategory::permissive},
    {"cc0", LicenceCategory::permissive},
    {"cc-by-4.0", LicenceCategory::permissive},
    {"cc-by-3.0", LicenceCategory::permissive},
    {"cdla-permissive", LicenceCategory::permissive},
    {"odc-by", LicenceCategory::permissive},
    {"bsl-1.0", LicenceCategory::permissive},
    {"afl-3.0", LicenceCategory::permissive},
    {"artistic-2.0", LicenceCategory::permissive},
    {"ms-pl", LicenceCategory::permissive},
    {"ecl-2.0", LicenceCategory::permissive},
    {"ncsa", LicenceCategory::permissive},
    {"upl-1.0", LicenceCategory::permissive},
    {"openmdw", LicenceCategory::permissive},
    {"pddl", LicenceCategory::permissive},
    {"gpl", LicenceCategory::copyleft},
    {"agpl", LicenceCategory::copyleft},
    {"lgpl", LicenceCategory::copyleft},
    {"mpl-2.0", LicenceCategory::copyleft},
    {"epl", LicenceCategory::copyleft},
    {"eupl", LicenceCategory::copyleft},
    {"cc-by-sa", LicenceCategory::copyleft},
    {"odbl", LicenceCategory::copyleft},
    {"cdla-sharing", LicenceCategory::copyleft},
    {"cc-by-nc", LicenceCategory::non_commercial},
    {"cc-by-nd", LicenceCategory::custom},
    {"gemma", LicenceCategory::custom},
    {"llama", LicenceCategory::custom},
    {"openrail", LicenceCategory::custom},
    {"bigscience", LicenceCategory::custom},
    {"creativeml", LicenceCategory::custom},
    {"deepfloyd", LicenceCategory::custom},
    {"bigcode-openrail", LicenceCategory::custom},
    {"qwen", LicenceCategory::custom},
    {"tongyi-qianwen", LicenceCategory::custom},
    {"deepseek", LicenceCategory::custom},
    {"falcon", LicenceCategory::custom},
    {"stabilityai", LicenceCategory::custom},
    {"stability-ai", LicenceCategory::custom},
    {"grok2", LicenceCategory::custom},
    {"modified-mit", LicenceCategory::custom},
    {"databricks-open-model", LicenceCategory::custom},
    {"nvidia-open-model", LicenceCategory::custom},
    {"glm-4", LicenceCategory::custom},
    {"busl-1.1", LicenceCategory::custom},
    {"bsl-1.1", LicenceCategory::custom},
    {"c-uda", LicenceCategory::custom},
    {"llama-1", LicenceCategory::non_commercial},
    {"opt-175b", LicenceCategory::non_commercial},
    {"qwen-research", LicenceCategory::non_commercial},
    {"stabilityai-nc", LicenceCategory::non_commercial},
    {"stability-ai-nc", LicenceCategory::non_commercial},
    {"exaone", LicenceCategory::non_commercial},
    {"mnpl", LicenceCategory::non_commercial},
    {"mrl", LicenceCategory::non_commercial},
    {"mistral-ai-research", LicenceCategory::non_commercial},
    {"other", LicenceCategory::unknown},
});

}  // namespace

ModelName ModelName::parse(std::string_view text) {
    ModelName out;
    const std::string fault = parse_into(text, out);
    if (!fault.empty()) {
        const std::string head = printable(text);
        throw Error(
            ErrorKind::usage, fmt::format("\"{}\" is not a model name: {}.", head, fault),
            "A name is like smollm2:135m or org/model:tag: letters, digits, and single '.', '_' or '-' between them.");
    }
    return out;
}

std::optional<ModelName> ModelName::try_parse(std::string_view text) noexcept {
    try {
        ModelName out;
        if (!parse_into(text, out).empty()) return std::nullopt;
        return out;
    } catch (...) {
        return std::nullopt;
    }
}

const char* licence_category_name(LicenceCategory c) noexcept {
    switch (c) {
        case LicenceCategory::permissive:
            return "permissive";
        case LicenceCategory::copyleft:
            return "copyleft";
        case LicenceCategory::non_commercial:
            return "non-commercial";
        case LicenceCategory::custom:
            return "custom";
        case LicenceCategory::unknown:
            break;
    }
    return "unknown";
}

const char* licence_category_meaning(LicenceCategory c) noexcept {
    switch (c) {
        case LicenceCategory::permissive:
            return "free to use, change and share; keep the notices";
        case LicenceCategory::copyleft:
            return "free to use and change; what you share must stay under the same terms";
        case LicenceCategory::non_commercial:
            return "not for commercial use";
        case LicenceCategory::custom:
            return "the publisher's own terms restrict some uses; read them first";
        case LicenceCategory::unknown:
            break;
    }
    return "nobody says what you may do with it; ask its publisher";
}

Licence classify_licence(std::string_view id) {
    Licence out;
    out.id = std::string(id);
    std::string lower;
    for (const char c : id) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::size_t best = 0;
    for (const LicenceRule& rule : kLicenceRules) {
        if (rule.prefix.size() > best && lower.starts_with(rule.prefix)) {
            best = rule.prefix.size();
            out.category = rule.category;
        }
    }
    return out;
}

}  // namespace freehold
