// Words that a reader of the rendered text does not see, or sees crossed out: comments of HTML, struck out words, tags
// that are hidden. They grant nothing, and what is left without them is another text.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace freehold::licence {

struct HiddenSpan {
    std::size_t begin = 0, end = 0;  // bytes
};

// In order, without overlaps. "<!-- -->", "~~ ~~" within a paragraph, <s>, <del>, <strike>, and what has
// "display: none" or the attribute "hidden". An opening mark that is never closed hides nothing, but for a comment.
[[nodiscard]] std::vector<HiddenSpan> hidden_spans(std::string_view text);

}  // namespace freehold::licence
