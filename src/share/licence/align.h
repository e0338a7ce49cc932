// Two texts laid side by side: which words of the template stand in the file, and where they part.
// Near-linear: anchors are runs of words that occur once in the template; only what lies between them is compared word
// by word.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace freehold::licence {

using Id = std::uint32_t;  // a word as a number; equal words, equal numbers

// Template words [t0, t1) stand as file words [f0, f1) in the file: different, or one of the two is empty.
struct Hunk {
    std::uint32_t t0 = 0, t1 = 0, f0 = 0, f1 = 0;
};

struct Alignment {
    std::uint32_t f0 = 0, f1 = 0;        // the stretch of the file that the template covers
    std::uint32_t matched = 0;           // words in common
    std::vector<Hunk> hunks;             // in order; everything else is equal
    std::vector<std::uint32_t> partner;  // template word -> file word, or kNone
    static constexpr std::uint32_t kNone = 0xffffffffU;
};

inline constexpr std::size_t kGram = 4;  // words of an anchor

// Hash of the kGram words that begin at `at`.
[[nodiscard]] std::uint64_t gram_hash(std::span<const Id> words, std::size_t at) noexcept;

// The runs of kGram words that a text has exactly once: hash -> place.
using Grams = std::unordered_map<std::uint64_t, std::uint32_t>;
[[nodiscard]] Grams unique_grams(std::span<const Id> words);

// The stretch of `file` that is most like the template, and the differences. matched == 0: nothing in common.
[[nodiscard]] Alignment align(std::span<const Id> text, const Grams& grams, std::span<const Id> file);

}  // namespace freehold::licence
