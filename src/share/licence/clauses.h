// The answers about one licence, with the lines of the file that say so.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "align.h"
#include "library.h"

namespace freehold::licence {

// Does a difference lie in (or, for inserted words, strictly inside) a range of the template?
[[nodiscard]] bool touches_range(const Hunk& h, const Range& r) noexcept;

// One clause for each question. What a change touches is `unclear`.
[[nodiscard]] std::vector<Clause> answer_clauses(std::string_view source, std::span<const Word> words,
                                                 const Template& text, const Alignment& a,
                                                 std::span<const Hunk> changes);

// A rider speaks about this question: what the licence itself says is no longer the answer.
void doubt(Clause& clause, const Worry& rider);

}  // namespace freehold::licence
