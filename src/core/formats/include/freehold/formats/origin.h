// From which files a model was made, as it says itself: in keys of a GGUF file, or of a folder's config.json.
// Advisories and the lineage follow these digests where no manifest names a parent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"

namespace freehold {

// Of a quantised file: the file it was made from, "sha256:" and 64 hex digits; of a folder its files with weights, with
// blanks between them.
inline constexpr const char* kQuantisedFrom = "freehold.quantised_from";
// Of a converted model: the files with weights that it was made from, likewise.
inline constexpr const char* kConvertedFrom = "freehold.converted_from";
// What those files said of themselves, where they were made so too: digests, the latest first.
inline constexpr const char* kQuantisedBefore = "freehold.quantised_before";

// More than any honest history has; what is beyond is left out.
inline constexpr std::size_t kMostSources = 256;

// The digests in a text as the keys hold them; words of another form are left out.
[[nodiscard]] std::vector<std::string> digests_in(std::string_view text);
// The text of such a key for these digests.
[[nodiscard]] std::string digests_text(const std::vector<std::string>& digests);
// All that these keys name (GGUF keys, or config.json as it is), the latest first.
[[nodiscard]] std::vector<std::string> sources_named(const ValueMap& meta);

}  // namespace freehold
