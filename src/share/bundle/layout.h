// Where the documents of a bundle lie, and which files are weights whatever they are called.
#pragma once

#include <string_view>

namespace freehold::bundle {

inline constexpr const char* kIndexFile = "bundle.json";
inline constexpr const char* kIndexFormat = "freehold.bundle/1";
inline constexpr const char* kCycloneFile = "documents/bom.cdx.json";
inline constexpr const char* kSpdxFile = "documents/bom.spdx3.json";
inline constexpr const char* kLineageFile = "documents/lineage.json";
inline constexpr const char* kRecipeFile = "documents/recipe.json";
inline constexpr const char* kResultsFile = "documents/evaluation.json";
inline constexpr const char* kTemplateFile = "documents/chat_template.jinja";
inline constexpr const char* kSummaryFile = "documents/training-content-summary.md";
inline constexpr const char* kSummaryJsonFile = "documents/training-content-summary.json";
inline constexpr const char* kDataFolder = "documents/data/";
inline constexpr const char* kLicenceFolder = "documents/licences/";
inline constexpr const char* kCardFile = "README.md";
inline constexpr const char* kFirstCardFile = "upstream/README.md";

// By the ending of the name: what programs load as weights.
[[nodiscard]] bool is_weight_name(std::string_view name) noexcept;
// Beside the model and no part of it: what git reads at the root of a clone. Never so for names of weights.
[[nodiscard]] bool is_kept_by_git(std::string_view name) noexcept;
// What a file of a model is for: "weights", "tokenizer", "template", "config", "licence", "card", "code", "other".
[[nodiscard]] const char* role_of(std::string_view name) noexcept;
[[nodiscard]] const char* media_type_of(std::string_view name) noexcept;

}  // namespace freehold::bundle
