// Patterns over words, and the cutting out of what is quoted.
#include "words_scan.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace freehold::licence {
namespace {

constexpr std::uint32_t kGap = 12;  // words that may stand between the parts of a pattern

bool stands_at(std::span<const Id> ids, std::size_t at, std::span<const Id> part) {
    return at + part.size() <= ids.size() && std::equal(part.begin(), part.end(), ids.begin() + static_cast<long>(at));
}

// End of the pattern that begins at `at`, or 0.
std::uint32_t match_end(std::span<const Id> ids, std::uint32_t at, std::uint32_t end, const Pattern& p) {
    if (!stands_at(ids.first(end), at, p.parts.front())) return 0;
    auto place = static_cast<std::uint32_t>(at + p.parts.front().size());
    for (std::size_t k = 1; k < p.parts.size(); ++k) {
        std::uint32_t next = place;
        while (next <= place + kGap && next < end && !stands_at(ids.first(end), next, p.parts[k])) ++next;
        if (next > place + kGap || next >= end) return 0;
        place = static_cast<std::uint32_t>(next + p.parts[k].size());
    }
    return place;
}

}  // namespace

bool operative(std::string_view word) noexcept {
    constexpr auto kWords = std::to_array<std::string_view>(
        {"cannot",     "commercial", "commercially", "consent",    "except",     "excluding", "fee",
         "fees",       "forbidden",  "must",         "never",      "no",         "non",       "noncommercial",
         "not",        "only",       "pay",          "permission", "prohibited", "research",  "restrict",
         "restricted", "revocable",  "royalty",      "shall",      "solely",     "unless",    "without"});
    return std::ranges::binary_search(kWords, word);
}

std::string slice(std::string_view source, std::span<const Word> words, Range range, std::size_t limit) {
    if (range.begin >= range.end || range.end > words.size()) return {};
    std::string out;
    for (const char c : source.substr(words[range.begin].begin, words[range.end - 1].end - words[range.begin].begin)) {
        const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r' || static_cast<unsigned char>(c) < 0x20;
        if (space && !out.empty() && out.back() == ' ') continue;
        out += space ? ' ' : c;
        if (out.size() > limit) {
            while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) out.pop_back();
            if (!out.empty()) out.pop_back();
            return out + "…";
        }
    }
    return out;
}

Quote quote_of(std::string_view source, std::span<const Word> words, Range range, std::size_t limit) {
    return {words[range.begin].line, words[range.end - 1].line, slice(source, words, range, limit), {}};
}

Range sentence_around(std::string_view source, std::span<const Word> words, Range range, Range bounds) {
    constexpr std::uint32_t kFar = 60;
    // Does a sentence end between word k and the next?
    const auto ends = [&](std::uint32_t k) {
        const std::string_view gap = source.substr(words[k].end, words[k + 1].begin - words[k].end);
        if (std::ranges::count(gap, '\n') > 1) return true;
        const std::size_t stop = gap.find_first_of(".;");
        return stop != std::string_view::npos && !words[k].marker && stop + 1 < gap.size() &&
               std::isspace(static_cast<unsigned char>(gap[stop + 1])) != 0;
    };
    Range out = range;
    while (out.begin > bounds.begin && range.begin - out.begin < kFar && !ends(out.begin - 1)) --out.begin;
    while (out.end < bounds.end && out.end - range.end < kFar && !ends(out.end - 1)) ++out.end;
    return out;
}

std::vector<PatternHit> pattern_hits(std::span<const Id> ids, Range where) {
    static const std::unordered_multimap<Id, const Pattern*> by_first = [] {
        std::unordered_multimap<Id, const Pattern*> out;
        for (const Pattern& p : Library::get().patterns())
            if (!p.parts.empty() && !p.parts.front().empty()) out.emplace(p.parts.front().front(), &p);
        return out;
    }();
    std::vector<PatternHit> out;
    for (std::uint32_t i = where.begin; i < where.end; ++i) {
        const auto [first, last] = by_first.equal_range(ids[i]);
        for (auto it = first; it != last; ++it)
            if (const std::uint32_t end = match_end(ids, i, where.end, *it->second); end > 0)
                out.push_back({it->second, {i, end}});
    }
    return out;
}

std::vector<Worry> find_worries(std::string_view source, std::span<const Word> words, std::span<const Id> ids,
                                Range where) {
    std::vector<Worry> out;
    std::vector<std::string_view> told;
    for (const PatternHit& hit : pattern_hits(ids, where)) {
        if (std::ranges::find(told, hit.pattern->meaning) != told.end()) continue;
        told.push_back(hit.pattern->meaning);
        const Range around = sentence_around(source, words, hit.where, where);
        out.push_back({hit.pattern->question, hit.pattern->meaning, quote_of(source, words, around)});
    }
    return out;
}

}  // namespace freehold::licence
