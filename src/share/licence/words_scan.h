// Clauses that worry, found by their words: in unknown texts and in words that were added to known ones.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "library.h"

namespace freehold::licence {

struct PatternHit {
    const Pattern* pattern;
    Range where;
};
// Every place in words [begin, end) at which a pattern stands, in the order of the text.
[[nodiscard]] std::vector<PatternHit> pattern_hits(std::span<const Id> ids, Range where);

// The patterns that stand in words [begin, end) of a file; each pattern once, in the order of the text.
[[nodiscard]] std::vector<Worry> find_worries(std::string_view source, std::span<const Word> words,
                                              std::span<const Id> ids, Range where);

// The source from the beginning of word `range.begin` to the end of the last word, blanks gathered, cut at `limit`
// bytes.
[[nodiscard]] std::string slice(std::string_view source, std::span<const Word> words, Range range,
                                std::size_t limit = 400);
// The same as a quote with its lines. `range` is not empty.
[[nodiscard]] Quote quote_of(std::string_view source, std::span<const Word> words, Range range,
                             std::size_t limit = 400);
// The sentence around a range: out to the next full stop, semicolon or blank line, at most 60 words each way.
[[nodiscard]] Range sentence_around(std::string_view source, std::span<const Word> words, Range range, Range bounds);

// Words that turn a sentence round: "not", "only", "unless", "commercial".
[[nodiscard]] bool operative(std::string_view word) noexcept;

}  // namespace freehold::licence
