// Two texts line by line.
#pragma once

#include <string_view>
#include <vector>

#include "freehold/diff/diff.h"

namespace freehold::diff {

// What differs, with `around` lines of context; nothing when the texts are equal (the last line's end aside). Texts
// whose differences are too many for an exact answer are laid over each other at their common beginning and end only.
[[nodiscard]] TextChange compare_lines(std::string name, std::string_view a, std::string_view b, std::size_t around = 3,
                                       std::size_t most_lines = 2000);

}  // namespace freehold::diff
