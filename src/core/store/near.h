// Names that a person may have meant: by edit distance, nearest first. For hints only.
// A name counts as near when at most a third of its letters differ, or when one begins with the other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace freehold::detail {

[[nodiscard]] std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& among,
                                               std::size_t at_most);

}  // namespace freehold::detail
